#include "reports/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "kernels/base/text.h"
#include "reports/picture_layout.h"
#include "reports/table_columns.h"

namespace qb {

namespace {

constexpr double kPanelWidth = 400, kPanelHeight = 300;             ///< pixels, axes and heading included
constexpr double kLeft = 58, kRight = 14, kTop = 34, kBottom = 58;  ///< room around a panel's frame
constexpr double kMargin = 12, kTitleHeight = 54;
constexpr double kLabelHeight = 13, kLetterWidth = 6.3;  ///< of 11 pixel text: an upper bound for most fonts
constexpr std::size_t kMostAcross = 4;

/// Okabe and Ito's colours, told apart by most eyes; without their yellow, which fades on white.
constexpr const char* kColours[] = {"#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d00", "#56b4e9"};

/// Units that may be compared in one frame, in the order of reading.
struct Panel {
  std::string heading;
  std::string comparable;  ///< panels of one model, batch and thread count share their axes and stand in one line
  std::vector<SummaryRow> drawn;
  std::size_t without_numbers = 0;
};

struct Axes {
  Scale latency, accuracy;
};

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : one_line(text)) {
    if (c == '&')
      result += "&amp;";
    else if (c == '<')
      result += "&lt;";
    else if (c == '>')
      result += "&gt;";
    else if (c == '"')
      result += "&quot;";
    else
      result += c;
  }
  return result;
}

std::size_t letters(std::string_view text) {
  return std::size_t(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string text_at(double x, double y, std::string_view style, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"{}\">{}</text>\n", x, y, style, escaped(text));
}

std::string line_between(double x1, double y1, double x2, double y2, std::string_view style,
                         std::string_view colour = {}) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"{}/>\n", x1, y1, x2, y2,
                     style, colour.empty() ? std::string() : fmt::format(" stroke=\"{}\"", colour));
}

/// "200 µs": a tick has few digits.
std::string tick_duration(double ns) {
  constexpr std::pair<double, const char*> kUnits[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}, {1, "ns"}};
  for (const auto& [size, name] : kUnits)
    if (ns >= size * (1 - 1e-9)) return fmt::format("{:.6g} {}", ns / size, name);
  return fmt::format("{:.6g} ns", ns);
}

/// "rtn:w4", and the kernel where the study compares several optimized ones.
std::string label_of(const SummaryRow& row, bool kernels_vary) {
  return kernels_vary ? fmt::format("{} {}", row.combination.quantizer, row.combination.kernel)
                      : row.combination.quantizer;
}

std::string method_of(const SummaryRow& row) {
  return row.combination.quantizer.substr(0, row.combination.quantizer.find(':'));
}

bool drawable(const SummaryRow& row) {
  return row.status == "ok" && std::isfinite(row.accuracy.value) && std::isfinite(row.latency_ns.value) &&
         row.latency_ns.value > 0;
}

/// Rows without numbers are counted in the first panel of their combination, whatever machine it is of; those of
/// combinations without a panel in `nowhere`.
std::vector<Panel> panels_of(const std::vector<SummaryRow>& rows, std::size_t& nowhere) {
  const auto says = [&](std::string_view name) {
    const auto axis = std::find_if(axes().begin(), axes().end(), [&](const Axis& a) { return a.name == name; });
    return varies(*axis, rows);
  };
  const bool says_threads = says("threads"), says_machine = says("machine");
  using Point = std::tuple<std::string, std::int64_t, int, std::string>;
  std::map<std::pair<Point, std::string>, Panel> panels;
  std::map<Point, std::size_t> without_numbers;
  for (const SummaryRow& row : rows) {
    const Combination& c = row.combination;
    const Point point{c.model, c.batch, int(c.threads), c.hardware};
    if (!drawable(row))
      ++without_numbers[point];
    else
      panels[{point, row.machine_key}].drawn.push_back(row);
  }
  for (const auto& [point, count] : without_numbers) {
    const auto first = panels.lower_bound({point, std::string()});
    if (first != panels.end() && first->first.first == point)
      first->second.without_numbers = count;
    else
      nowhere += count;
  }
  std::vector<Panel> found;
  for (auto& [key, panel] : panels) {
    const auto& [model, batch, threads, hardware] = key.first;
    panel.comparable = fmt::format("{} {} {}", model, batch, threads);
    panel.heading = fmt::format("{}, {}, batch {}", one_line(model), one_line(hardware), batch);
    if (says_threads) panel.heading += fmt::format(", {} thread{}", threads, threads == 1 ? "" : "s");
    if (says_machine) panel.heading += fmt::format(", machine {}", key.second.substr(0, 8));
    found.push_back(std::move(panel));
  }
  return found;
}

bool is_perplexity(const SummaryRow& row) { return row.metric == "perplexity"; }

/// What the vertical axis measures, on a logarithmic scale: perplexity, or the share of wrong answers, which tells 97 %
/// from 98 % beside a method that fails. None wrong counts as half of one, since a logarithmic scale has no zero; no
/// perplexity is below 1, though an interval's end may be.
double depth_of(const SummaryRow& row, double accuracy) {
  return is_perplexity(row) ? std::max(accuracy, 1.0) : std::max(1 - accuracy, 0.5 / double(row.samples));
}

/// The same axes for all panels that are to be compared.
Axes axes_of(const std::vector<Panel>& panels, const std::string& comparable) {
  std::vector<double> latency, accuracy;
  for (const Panel& panel : panels) {
    if (panel.comparable != comparable) continue;
    for (const SummaryRow& row : panel.drawn) {
      for (const double ns : {row.latency_ns.value, row.latency_ns.low, row.latency_ns.high})
        if (ns > 0) latency.push_back(ns);
      for (const double value : {row.accuracy.value, row.accuracy.low, row.accuracy.high})
        if (std::isfinite(value)) accuracy.push_back(depth_of(row, value));
    }
  }
  return {scale_over(latency, 0.3), scale_over(accuracy, 0.3)};
}

double or_else(double value, double other) { return std::isfinite(value) ? value : other; }

std::string without_numbers(std::size_t count) {
  return fmt::format("{} unit{} without numbers: see the table", count, count == 1 ? "" : "s");
}

/// Panel coordinates: the frame is where marks stand.
class Drawing {
 public:
  Drawing(const Panel& panel, const Axes& axes, double left, double top, bool kernels_vary,
          const std::map<std::string, const char*>& colours)
      : panel_(panel),
        axes_(axes),
        frame_{left + kLeft, top + kTop, left + kPanelWidth - kRight, top + kPanelHeight - kBottom},
        kernels_vary_(kernels_vary),
        colours_(colours) {}

  std::string svg() const {
    std::string text = text_at(frame_.left, frame_.top - 12, "heading", panel_.heading);
    text += grid() + points();
    text += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"frame\"/>\n",
                        frame_.left, frame_.top, frame_.right - frame_.left, frame_.bottom - frame_.top);
    if (panel_.without_numbers > 0)
      text += text_at(frame_.left, frame_.bottom + 50, "small", without_numbers(panel_.without_numbers));
    return text;
  }

 private:
  double x(double ns) const { return frame_.left + axes_.latency.share(ns) * (frame_.right - frame_.left); }
  /// The better, the higher: few wrong answers, or a small perplexity.
  double y(double depth) const { return frame_.top + axes_.accuracy.share(depth) * (frame_.bottom - frame_.top); }

  std::string grid() const {
    std::string text;
    for (const double ns : ticks(axes_.latency)) {
      text += line_between(x(ns), frame_.top, x(ns), frame_.bottom, "grid");
      text += text_at(x(ns), frame_.bottom + 15, "small middle", tick_duration(ns));
    }
    const bool language = is_perplexity(panel_.drawn.front());
    for (const double value : ticks(axes_.accuracy)) {
      const double at = y(value);
      text += line_between(frame_.left, at, frame_.right, at, "grid");
      text += text_at(frame_.left - 6, at + 4, "small end",
                      language ? fmt::format("{:.6g}", value) : fmt::format("{:.6g} %", 100 - 100 * value));
    }
    text += text_at((frame_.left + frame_.right) / 2, frame_.bottom + 33, "axis middle",
                    "median latency of one batch (log)");
    const double middle = (frame_.top + frame_.bottom) / 2, across = frame_.left - kLeft + 13;
    text += fmt::format("<text transform=\"translate({:.1f} {:.1f}) rotate(-90)\" class=\"axis middle\">{}</text>\n",
                        across, middle,
                        language                                     ? "perplexity (log, less is better)"
                        : panel_.drawn.front().metric == "agreement" ? "agreement with float (log of changes)"
                                                                     : "top-1 accuracy (log of errors)");
    return text;
  }

  Mark mark_of(const SummaryRow& row) const {
    const Estimate &time = row.latency_ns, &score = row.accuracy;
    const auto at = [&](double accuracy) { return y(depth_of(row, or_else(accuracy, score.value))); };
    Mark mark{x(time.value), at(score.value), {}, kLetterWidth * double(letters(label_of(row, kernels_vary_)))};
    const auto [top, bottom] = std::minmax({at(score.low), at(score.high)});
    mark.whiskers = {x(or_else(time.low, time.value)), top, x(or_else(time.high, time.value)), bottom};
    return mark;
  }

  /// Whiskers first, so that no mark is hidden; labels last.
  std::string points() const {
    std::vector<Mark> marks;
    for (const SummaryRow& row : panel_.drawn) marks.push_back(mark_of(row));
    const std::vector<LabelPlace> places = place_labels(marks, frame_, kLabelHeight);
    std::string whiskers, dots, labels;
    for (std::size_t i = 0; i < marks.size(); ++i) {
      const Mark& mark = marks[i];
      const Box &ends = mark.whiskers, &label = places[i].box;
      const char* colour = colours_.at(method_of(panel_.drawn[i]));
      whiskers += line_between(ends.left, mark.y, ends.right, mark.y, "whisker", colour);
      whiskers += line_between(mark.x, ends.top, mark.x, ends.bottom, "whisker", colour);
      if (places[i].led)
        whiskers += line_between(mark.x, mark.y, std::clamp(mark.x, label.left, label.right),
                                 std::clamp(mark.y, label.top, label.bottom), "lead", colour);
      dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.6\" fill=\"{}\" class=\"mark\"/>\n", mark.x,
                          mark.y, colour);
      labels += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" fill=\"{}\" class=\"label middle\">{}</text>\n",
                            (label.left + label.right) / 2, label.bottom - 3, colour,
                            escaped(label_of(panel_.drawn[i], kernels_vary_)));
    }
    return whiskers + dots + labels;
  }

  const Panel& panel_;
  const Axes& axes_;
  Box frame_;
  bool kernels_vary_;
  const std::map<std::string, const char*>& colours_;
};

/// float is black; the methods take the other colours in alphabetical order.
std::map<std::string, const char*> colours_of(const std::vector<SummaryRow>& rows) {
  std::map<std::string, const char*> colours;
  for (const SummaryRow& row : rows) colours[method_of(row)] = kColours[0];
  std::size_t next = 0;
  for (auto& [method, colour] : colours)
    if (method != "float") colour = kColours[1 + next++ % (std::size(kColours) - 1)];
  return colours;
}

constexpr std::string_view kStyle = R"(<style>
text { font-family: Helvetica, Arial, "Liberation Sans", "DejaVu Sans", sans-serif; font-size: 11px }
.title { font-size: 16px; font-weight: bold }
.heading { font-size: 12px; font-weight: bold }
.small { font-size: 10px; fill: #555 }
.axis { font-size: 11px; fill: #333 }
.middle { text-anchor: middle }
.end { text-anchor: end }
.frame { fill: none; stroke: #888; stroke-width: 1 }
.grid { stroke: #e6e6e6; stroke-width: 1 }
.whisker { stroke-width: 1.4; stroke-opacity: 0.45 }
.lead { stroke-width: 0.6; stroke-opacity: 0.8 }
.mark { fill-opacity: 0.8; stroke: #fff; stroke-width: 0.6 }
</style>
)";

/// Panels side by side when they share axes, and a new line for the next model, batch or thread count; simply in order
/// when no two share axes.
struct Grid {
  std::vector<std::pair<std::size_t, std::size_t>> cells;  ///< column and line of each panel
  std::size_t columns = 1, lines = 0;
};

Grid grid_of(const std::vector<Panel>& panels) {
  Grid grid;
  const bool some_share = std::adjacent_find(panels.begin(), panels.end(), [](const Panel& a, const Panel& b) {
                            return a.comparable == b.comparable;
                          }) != panels.end();
  const std::size_t most = some_share ? kMostAcross : kMostAcross / 2;
  std::size_t column = 0;
  for (std::size_t i = 0; i < panels.size(); ++i) {
    if (i == 0 || column == most || (some_share && panels[i].comparable != panels[i - 1].comparable)) {
      column = 0;
      ++grid.lines;
    }
    grid.cells.emplace_back(column++, grid.lines - 1);
    grid.columns = std::max(grid.columns, column);
  }
  return grid;
}

}  // namespace

std::string svg_picture(const RunRecord& run) {
  std::vector<SummaryRow> rows = rows_for_reading(run);
  std::erase_if(rows, [](const SummaryRow& row) { return row.combination.kernel == "reference"; });
  std::size_t nowhere = 0;
  const std::vector<Panel> panels = panels_of(rows, nowhere);
  const Grid grid = grid_of(panels);
  const auto kernel =
      std::find_if(axes().begin(), axes().end(), [](const Axis& axis) { return axis.name == "kernel"; });
  const bool kernels_vary = varies(*kernel, rows);
  const std::map<std::string, const char*> colours = colours_of(rows);

  const double width = 2 * kMargin + double(grid.columns) * kPanelWidth,
               height = 2 * kMargin + kTitleHeight + double(grid.lines) * kPanelHeight;
  std::string text = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} {1:.0f}\">\n",
      width, height);
  text += fmt::format("<title>{}: accuracy against latency</title>\n{}", escaped(run.study_name), kStyle);
  text += fmt::format("<rect width=\"{:.0f}\" height=\"{:.0f}\" fill=\"#ffffff\"/>\n", width, height);
  text += text_at(kMargin, kMargin + 14, "title", run.study_name);
  text += text_at(kMargin, kMargin + 32, "small",
                  rows.empty() ? "no unit with optimized kernels" : "optimized kernels only; whiskers: 95 % intervals");
  if (nowhere > 0) text += text_at(kMargin, kMargin + 46, "small", "not drawn: " + without_numbers(nowhere));
  for (std::size_t i = 0; i < panels.size(); ++i) {
    const Axes shared = axes_of(panels, panels[i].comparable);
    const auto [column, line] = grid.cells[i];
    text += Drawing(panels[i], shared, kMargin + double(column) * kPanelWidth,
                    kMargin + kTitleHeight + double(line) * kPanelHeight, kernels_vary, colours)
                .svg();
  }
  return text + "</svg>\n";
}

}  // namespace qb
