#include "kernels/bench/table_output.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/base/text.h"

namespace qb {

namespace {

using Cells = std::vector<std::string>;

const Cells kHeader = {"family", "kernel", "format", "shape", "threads",    "memory", "time", "spread",
                       "GOP/s",  "GB/s",   "%peak",  "of",    "peer ratio", "peer",   "error"};

std::string half_width(const Spread& time) {
  return fmt::format("{:.1f} %", 100 * (time.high - time.low) / 2 / time.median);
}

std::string rate_text(double value) {
  return value >= 100 ? fmt::format("{:.0f}", value) : fmt::format("{:.1f}", value);
}

const char* memory_of(const TableRow& row) { return row.cold ? "cold" : "hot"; }

/// One row as people read it.
Cells cells_of(const TableRow& row) {
  Cells cells = {std::string(row.kernel->family),
                 std::string(row.kernel->name) + (row.kernel->peer ? " (peer)" : ""),
                 to_text(row.format),
                 to_text(row.shape),
                 std::to_string(row.threads),
                 memory_of(row)};
  if (!row.proof.fault.empty()) {
    cells.push_back(row.proof.fault);
    return cells;
  }
  const Spread time = spread_of(row.time_ns), share = spread_of(row.limit_share), ratio = spread_of(row.peer_ratio);
  cells.push_back(duration_text(time.median));
  cells.push_back(half_width(time));
  cells.push_back(operations(row.shape) > 0 ? rate_text(operations(row.shape) / time.median) : "-");
  cells.push_back(rate_text(double(row.bytes) / time.median));
  cells.push_back(spread_text({100 * share.median, 100 * share.low, 100 * share.high}, "{:.1f}"));
  cells.push_back(words_of(row.limit));
  cells.push_back(row.best_peer == row.kernel ? "1" : spread_text(ratio, "{:.2f}"));
  cells.push_back(row.best_peer ? std::string(row.best_peer->name) : "-");
  cells.push_back(error_text(row.proof));
  return cells;
}

std::string plain(const std::vector<Cells>& lines) {
  std::vector<std::size_t> width;
  for (const Cells& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) {
      width.resize(std::max(width.size(), line.size()), 0);
      if (line.size() == kHeader.size()) width[i] = std::max(width[i], line[i].size());
    }
  std::string text;
  for (const Cells& line : lines) {
    std::string row;
    for (std::size_t i = 0; i < line.size(); ++i) row += fmt::format("{:<{}}  ", line[i], width[i]);
    text += row.substr(0, row.find_last_not_of(' ') + 1) + '\n';
  }
  return text;
}

std::string markdown(const std::vector<Cells>& lines) {
  std::string text;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    text += fmt::format("| {} |\n", fmt::join(lines[i], " | "));
    for (std::size_t j = 0; i == 0 && j < lines[i].size(); ++j) text += j == 0 ? "| --- " : "| --- ";
    if (i == 0) text += "|\n";
  }
  return text;
}

std::string csv(const Table& table) {
  std::string text =
      "work,family,kernel,peer,format,shape,m,n,k,threads,memory,rounds,time_ns,time_low_ns,time_high_ns,ops_per_s,"
      "bytes_per_s,limit,limit_share,limit_share_low,limit_share_high,best_peer,peer_ratio,peer_ratio_low,"
      "peer_ratio_high,error,bound,fault\n";
  for (const TableRow& row : table.rows) {
    const Spread time = spread_of(row.time_ns), share = spread_of(row.limit_share), ratio = spread_of(row.peer_ratio);
    text +=
        fmt::format("{},{},{},{},{},\"{}\",{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},\"{}\"\n",
                    name_of(row.shape.work), row.kernel->family, row.kernel->name, int(row.kernel->peer),
                    to_text(row.format), to_text(row.shape), row.shape.m, row.shape.n, row.shape.k, row.threads,
                    memory_of(row), row.time_ns.size(), time.median, time.low, time.high,
                    operations(row.shape) / time.median * 1e9, double(row.bytes) / time.median * 1e9,
                    name_of(row.limit), share.median, share.low, share.high, row.best_peer ? row.best_peer->name : "",
                    ratio.median, ratio.low, ratio.high, row.proof.error, row.proof.bound, row.proof.fault);
  }
  return text;
}

std::string json(const Table& table, const MachineFacts& machine) {
  using Ordered = nlohmann::ordered_json;
  Ordered facts = Ordered::object(), rows = Ordered::array();
  for (const auto& [name, value] : machine) {
    if (facts.contains(name))
      facts[name] = facts[name].get<std::string>() + "; " + value;
    else
      facts[name] = value;
  }
  for (const TableRow& row : table.rows) {
    Ordered peer = nullptr;
    if (row.best_peer) peer = row.best_peer->name;
    rows.push_back(Ordered{{"work", name_of(row.shape.work)},
                           {"family", row.kernel->family},
                           {"kernel", row.kernel->name},
                           {"peer", row.kernel->peer},
                           {"activations", name_of(row.kernel->activations)},
                           {"format", to_text(row.format)},
                           {"shape", to_text(row.shape)},
                           {"m", row.shape.m},
                           {"n", row.shape.n},
                           {"k", row.shape.k},
                           {"threads", row.threads},
                           {"memory", memory_of(row)},
                           {"bytes", row.bytes},
                           {"limit", name_of(row.limit)},
                           {"time_ns", row.time_ns},
                           {"limit_rate_per_s", row.limit_rate},
                           {"limit_share", row.limit_share},
                           {"best_peer", std::move(peer)},
                           {"peer_ratio", row.peer_ratio},
                           {"error", row.proof.error},
                           {"bound", row.proof.bound},
                           {"fault", row.proof.fault}});
  }
  const Ordered all = {{"machine", std::move(facts)}, {"rows", std::move(rows)}, {"missing", table.missing}};
  return all.dump(1) + '\n';
}

}  // namespace

std::string spread_text(const Spread& spread, const char* unit) {
  if (std::isnan(spread.median)) return "-";
  const auto one = [&](double value) { return fmt::format(fmt::runtime(unit), value); };
  return fmt::format("{} ({} to {})", one(spread.median), one(spread.low), one(spread.high));
}

std::string words_of(Limit limit) {
  return limit == Limit::read ? "read bandwidth" : limit == Limit::s8 ? "int8" : std::string(name_of(limit));
}

std::string error_text(const Comparison& proof) {
  if (proof.bound == 0) return proof.error == 0 ? "exact" : fmt::format("{:.1e}", proof.error);
  return fmt::format("{:.1e} of {:.1e}", proof.error, proof.bound);
}

std::string to_text(const Table& table, const MachineFacts& machine, Output output) {
  if (output == Output::csv) return csv(table);
  if (output == Output::json) return json(table, machine);
  std::vector<Cells> lines = {kHeader};
  for (const TableRow& row : table.rows) lines.push_back(cells_of(row));
  if (output == Output::markdown) return markdown(lines);
  std::string text = plain(lines);
  for (const std::string& sentence : table.missing) text += fmt::format("missing: {}\n", sentence);
  return text;
}

}  // namespace qb
