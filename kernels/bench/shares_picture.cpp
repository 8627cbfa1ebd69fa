#include "kernels/bench/shares_picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/text.h"

namespace qb {

namespace {

constexpr int kLabel = 300, kScale = 4, kTop = 60, kStep = 20, kBar = 7;  // pixels; kScale per percent
constexpr int kRight = kLabel + 100 * kScale;

/// The judgements of one line: equal but for their threads.
std::vector<GoalResult> next_line(const std::vector<GoalResult>& judged, std::size_t& at) {
  std::vector<GoalResult> line;
  for (; at < judged.size(); ++at) {
    const GoalResult& one = judged[at];
    if (!line.empty() && (one.goal != line[0].goal || one.format != line[0].format || one.shape != line[0].shape))
      break;
    line.push_back(one);
  }
  std::erase_if(line, [](const GoalResult& one) { return one.row == nullptr || std::isnan(one.share.median); });
  return line;
}

std::string bars_of(const std::vector<GoalResult>& line, int y) {
  std::string bars;
  std::vector<std::string> shares;
  int top = y;
  for (const GoalResult& one : line) {
    const bool read = one.row->limit == Limit::read;
    const char* colour = one.threads == 1 ? (read ? "#4f86ab" : "#3f7f4e") : (read ? "#a9c6da" : "#9cc4a4");
    bars += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" fill=\"{}\"/>", kLabel, top,
                        kScale * std::clamp(100 * one.share.median, 0.0, 100.0), kBar, colour);
    top += kBar + 1;
    shares.push_back(one.disturbed ? "disturbed" : fmt::format("{:.0f} %", 100 * one.share.median));
  }
  bars += fmt::format("<text x=\"{}\" y=\"{}\">{}</text>", kRight + 8, y + 11, join(shares, ", "));
  if (const double wanted = line[0].goal->limit_share; wanted > 0)
    bars += fmt::format("<rect x=\"{:.1f}\" y=\"{}\" width=\"2\" height=\"{}\" fill=\"#b03030\"/>",
                        kLabel + 100 * kScale * wanted - 1, y - 2, kStep - 1);
  return bars;
}

std::string grid(int bottom) {
  std::string lines;
  for (int percent = 0; percent <= 100; percent += 25) {
    const int x = kLabel + kScale * percent;
    lines += fmt::format("<line x1=\"{0}\" y1=\"{1}\" x2=\"{0}\" y2=\"{2}\" stroke=\"#dddddd\"/>", x, kTop - 6, bottom);
    lines += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666666\">{} %</text>\n", x, kTop - 10,
                         percent);
  }
  return lines;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '&' ? "&amp;" : c == '<' ? "&lt;" : std::string(1, c);
  return out;
}

}  // namespace

std::string shares_picture(const std::vector<GoalResult>& judged) {
  std::string body;
  const Goal* last = nullptr;
  int y = kTop;
  for (std::size_t at = 0; at < judged.size();) {
    const std::vector<GoalResult> line = next_line(judged, at);
    if (line.empty()) continue;
    if (line[0].goal != last) {
      last = line[0].goal;
      body += fmt::format("<text x=\"10\" y=\"{}\" font-weight=\"bold\">{}</text>\n", y + 12, escaped(last->product));
      y += kStep;
    }
    body += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}, {}</text>", kLabel - 8, y + 11, line[0].format,
                        line[0].shape);
    body += bars_of(line, y) + '\n';
    y += kStep;
  }
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" font-size=\"11\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
      "<text x=\"10\" y=\"18\" font-size=\"14\">Share of the measured limit</text>\n"
      "<text x=\"10\" y=\"34\">Green: arithmetic. Blue: reading. Dark: one thread, light: more. Red: wanted.</text>\n"
      "{2}{3}</svg>\n",
      kRight + 110, y + 10, grid(y), body);
}

}  // namespace qb
