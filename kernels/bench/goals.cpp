#include "kernels/bench/goals.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "kernels/base/json.h"
#include "kernels/base/text.h"

namespace qb {

namespace {

constexpr std::int64_t kMostRows = 1'000'000;
constexpr double kMostShare = 1.15;  ///< above it no share is believed

Activations activations_named(Fields& fields, const std::string& name) {
  constexpr std::array kAll = {Activations::f32, Activations::bf16, Activations::s8, Activations::binary};
  std::vector<std::string> known;
  for (const Activations one : kAll) {
    if (name_of(one) == name) return one;
    known.emplace_back(name_of(one));
  }
  fields.fail("activations", fmt::format("'{}' is not known{}", name, suggestion(name, known)));
}

Work work_named(Fields& fields, const std::string& name) {
  std::vector<std::string> known;
  for (int i = 0; i < kWorks; ++i) {
    known.emplace_back(name_of(Work(i)));
    if (known.back() == name) return Work(i);
  }
  fields.fail("work", fmt::format("'{}' is not known{}", name, suggestion(name, known)));
}

Goal goal_from(const Json& object, const std::string& where) {
  Fields fields(object, where, Blame::user);
  Goal goal;
  goal.product = fields.text("product");
  goal.elsewhere = fields.text_or("elsewhere", "");
  if (!goal.elsewhere.empty()) {
    fields.done();
    return goal;
  }
  for (const std::string& name : fields.texts("activations"))
    goal.activations.push_back(activations_named(fields, name));
  goal.formats = fields.texts("formats");
  for (std::string& text : goal.formats) text = to_text(parse_product_format(text));
  goal.work = work_named(fields, fields.text_or("work", "product"));
  if (goal.work == Work::product || goal.work == Work::attention) goal.rows = fields.integers("rows");
  for (const std::int64_t rows : goal.rows)
    if (rows < 1 || rows > kMostRows) fields.fail("rows", fmt::format("{} is no number of rows", rows));
  goal.limit_share = fields.number_or("limit_share", 0);
  goal.peer_ratio = fields.number_or("peer_ratio", 0);
  if (!(goal.limit_share >= 0 && goal.limit_share <= 1)) fields.fail("limit_share", "a share is 0 to 1");
  if (!(goal.peer_ratio >= 0)) fields.fail("peer_ratio", "a ratio is not negative");
  goal.explanation = fields.text_or("explanation", "");
  fields.done();
  return goal;
}

std::string rows_text(std::int64_t rows) { return fmt::format("{} {}", rows, rows == 1 ? "row" : "rows"); }

/// What a goal calls the shape of a row; empty where it is not meant.
std::string shape_for(const Goal& goal, const TableRow& row) {
  if (row.shape.work != goal.work) return {};
  if (goal.work == Work::product) return rows_text(row.shape.m);
  if (goal.work == Work::attention && std::ranges::find(goal.rows, row.shape.m) == goal.rows.end()) return {};
  return to_text(row.shape);
}

/// The fastest of our kernels that did this rightly; null when there is none.
const TableRow* best_row(const Goal& goal, const Table& table, const GoalResult& wanted) {
  const TableRow* best = nullptr;
  for (const TableRow& row : table.rows) {
    if (row.kernel->peer || row.time_ns.empty() || row.threads != wanted.threads) continue;
    if (to_text(row.format) != wanted.format || shape_for(goal, row) != wanted.shape) continue;
    if (std::ranges::find(goal.activations, row.kernel->activations) == goal.activations.end()) continue;
    if (best == nullptr || spread_of(row.time_ns).median < spread_of(best->time_ns).median) best = &row;
  }
  return best;
}

/// Whether one thread of the same kernel took less time, by more than what threads cost.
bool is_slower_than_alone(const TableRow& row, const Table& table) {
  constexpr double kSlower = 1.25;
  const auto alone = std::ranges::find_if(table.rows, [&](const TableRow& other) {
    return other.threads == 1 && other.kernel == row.kernel && other.shape == row.shape &&
           to_text(other.format) == to_text(row.format);
  });
  if (row.threads == 1 || alone == table.rows.end() || alone->time_ns.empty()) return false;
  return spread_of(row.time_ns).median > kSlower * spread_of(alone->time_ns).median;
}

/// The shapes that a goal is judged on, each once, in the order of the table.
std::vector<std::string> shapes_of(const Goal& goal, const Table& table) {
  std::vector<std::string> shapes;
  if (goal.work == Work::product) {
    for (const std::int64_t rows : goal.rows) shapes.push_back(rows_text(rows));
    return shapes;
  }
  for (const TableRow& row : table.rows) {
    const std::string shape = shape_for(goal, row);
    if (!shape.empty() && std::ranges::find(shapes, shape) == shapes.end()) shapes.push_back(shape);
  }
  return shapes;
}

}  // namespace

std::vector<Goal> read_goals(const std::filesystem::path& file) {
  const Json document = parse_json(read_file(file, 1 << 20), file.string(), Blame::user,
                                   {.depth = 16, .string_bytes = 8 << 10, .comments = true});
  Fields fields(document, file.string(), Blame::user);
  std::vector<Goal> goals;
  for (const Json& one : fields.array("goals"))
    goals.push_back(goal_from(one, fmt::format("{} goal {}", file.string(), goals.size() + 1)));
  fields.done();
  return goals;
}

std::vector<GoalResult> judge(const std::vector<Goal>& goals, const Table& table, const std::vector<int>& threads) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  std::vector<GoalResult> all;
  for (const Goal& goal : goals)
    for (const std::string& format : goal.formats)
      for (const std::string& shape : shapes_of(goal, table))
        for (const int count : threads) {
          GoalResult one{&goal, nullptr, format, shape, count, {kNone, kNone, kNone}, {kNone, kNone, kNone}};
          one.row = best_row(goal, table, one);
          if (one.row != nullptr) {
            one.share = spread_of(one.row->limit_share);
            one.ratio = spread_of(one.row->peer_ratio);
            const bool near = goal.limit_share == 0 || one.share.median >= goal.limit_share;
            const bool fast = goal.peer_ratio == 0 || !(one.ratio.median < goal.peer_ratio);
            one.disturbed =
                (goal.limit_share > 0 && one.share.median > kMostShare) || is_slower_than_alone(*one.row, table);
            one.met = near && fast && !one.disturbed;
          }
          all.push_back(one);
        }
  return all;
}

}  // namespace qb
