#include "kernels/bench/table.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "kernels/base/clock.h"
#include "kernels/bench/attention_cell.h"
#include "kernels/bench/choice.h"
#include "kernels/bench/convolution_cell.h"
#include "kernels/bench/depthwise_cell.h"
#include "kernels/bench/product_cell.h"
#include "kernels/bench/random_matrix.h"
#include "kernels/bench/rows_cell.h"
#include "kernels/convolution/weight_order.h"

namespace qb {

namespace {

/// Products that share their weights.
struct Group {
  ProductFormat format;
  std::vector<LayerShape> shapes;  ///< equal n and k
};

std::vector<Group> groups_of(const Options& options) {
  std::vector<Group> groups;
  for (const ProductFormat& format : options.formats) {
    const std::size_t first = groups.size();
    for (const LayerShape& shape : options.shapes) {
      if (shape.work != Work::product) continue;
      const auto same = [&](const Group& group) {
        return group.shapes.front().n == shape.n && group.shapes.front().k == shape.k;
      };
      const auto found = std::find_if(groups.begin() + std::ptrdiff_t(first), groups.end(), same);
      if (found == groups.end())
        groups.push_back({format, {shape}});
      else
        found->shapes.push_back(shape);
    }
  }
  return groups;
}

class Progress {
 public:
  explicit Progress(std::size_t all) : all_(all) {}
  void show(const std::string& what) {
    const double seconds = double(now_ns() - start_ns_) * 1e-9;
    const double rate = done_ > 0 ? double(done_) / seconds : 0;
    const auto left = rate > 0 ? std::int64_t(double(all_ - done_) / rate) : 0;
    const bool terminal = ::isatty(STDERR_FILENO) != 0;
    fmt::print(stderr, "{}{} of {} cells, {:.1f}/min, {:02}:{:02} left: {}{}", terminal ? "\r\x1b[K" : "", done_, all_,
               60 * rate, left / 60, left % 60, what, terminal ? "" : "\n");
    std::fflush(stderr);
  }
  void step() { ++done_; }
  void end() const {
    if (::isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\r\x1b[K");
  }

 private:
  std::size_t all_, done_ = 0;
  std::int64_t start_ns_ = now_ns();
};

/// Kernels that are wanted for one shape of a group.
bool is_wanted(const Options& options, const Group& group, const LayerShape& shape, const KernelInfo& kernel) {
  return applies(kernel, group.format, shape.k) &&
         is_wanted(kernel, options.kernels, group.format.weights, shape.k, shape.m);
}

/// The prepared weights of the kernels that are wanted for one shape.
std::vector<const PreparedMatrix*> for_shape(const Options& options, const Group& group, const LayerShape& shape,
                                             const std::vector<PreparedMatrix>& prepared) {
  std::vector<const PreparedMatrix*> chosen;
  for (const PreparedMatrix& one : prepared) {
    const bool long_reference = one.kernel->reference && shape.m * shape.n * shape.k > kReferenceProducts;
    if (!long_reference && is_wanted(options, group, shape, *one.kernel)) chosen.push_back(&one);
  }
  return chosen;
}

void measure_products(const Options& options, const Bench& bench, Progress& progress, Table& table) {
  for (const Group& group : groups_of(options)) {
    const std::int64_t n = group.shapes.front().n, k = group.shapes.front().k;
    progress.show(fmt::format("{} n:{} k:{}, preparing", to_text(group.format), n, k));
    const auto any = [&](const KernelInfo& kernel) { return applies(kernel, group.format, k); };
    if (std::ranges::none_of(kernels(), any)) {
      table.missing.push_back(fmt::format("{}: no family of its own computes it{}", to_text(group.format),
                                          group.format.activation_group == 0 ? "; it runs decoded to float32" : ""));
      for (std::size_t i = 0; i < group.shapes.size(); ++i) progress.step();
      continue;
    }
    const PackedMatrix weights = random_weights(group.format.weights, n, k, /*seed=*/1);
    const auto wanted = [&](const KernelInfo& kernel) {
      const auto for_this = [&](const LayerShape& shape) { return is_wanted(options, group, shape, kernel); };
      return std::ranges::any_of(group.shapes, for_this);
    };
    const auto prepared = prepare_wanted(Operation::product, weights, wanted, table.missing);
    for (const LayerShape& shape : group.shapes) {
      progress.show(fmt::format("{} m:{} n:{} k:{}", to_text(group.format), shape.m, n, k));
      const std::vector<float> a = random_activations(shape.m, k);
      const auto chosen = for_shape(options, group, shape, prepared);
      Problem problem{&weights, a.data(), shape.m};
      problem.scaling.group = group.format.activation_group;
      table.add(measure_product(bench, problem, shape, options.threads, chosen));
      progress.step();
    }
  }
}

/// What is no product: a shape and its format.
struct OtherCell {
  LayerShape shape;
  QuantFormat format;
};

std::vector<OtherCell> other_cells(const Options& options) {
  std::vector<OtherCell> cells;
  for (const LayerShape& shape : options.shapes) {
    if (shape.work == Work::product) continue;
    if (shape.work == Work::rows || shape.work == Work::attention) {
      cells.push_back({shape, QuantFormat{}});
      continue;
    }
    for (const QuantFormat& format : options.plane_formats) {
      if (shape.work == Work::depthwise && format.kind == CodeKind::bf16) continue;  // no family multiplies so
      cells.push_back({shape, format});
      if (shape.work != Work::convolution || format.kind != CodeKind::integer || !order_is_free(format, shape.k))
        continue;
      cells.push_back({shape, format});
      cells.back().shape.work = Work::convolution_of_codes;
    }
  }
  return cells;
}

void measure_others(const Options& options, const Bench& bench, Progress& progress, Table& table) {
  for (const auto& [shape, format] : other_cells(options)) {
    progress.show(fmt::format("{} {} {}", name_of(shape.work), to_text(format), to_text(shape)));
    if (shape.work == Work::rows)
      table.add(measure_rows(bench, options, shape));
    else if (shape.work == Work::attention)
      table.add(measure_attention(bench, options, shape));
    else if (shape.work == Work::depthwise)
      table.add(measure_depthwise(bench, options, format, shape, table.missing));
    else
      table.add(measure_convolution(bench, options, format, shape, table.missing));
    progress.step();
  }
}

}  // namespace

void Table::add(std::vector<TableRow> more) {
  for (TableRow& row : more) rows.push_back(std::move(row));
}

Table measure_table(const Options& options) {
  Table table;
  const Bench bench{.rounds = options.rounds, .cold_bytes = options.cold_bytes};
  const auto products = std::size_t(
      std::ranges::count_if(options.shapes, [](const LayerShape& shape) { return shape.work == Work::product; }));
  Progress progress(options.formats.size() * products + other_cells(options).size());
  measure_products(options, bench, progress, table);
  measure_others(options, bench, progress, table);
  progress.end();
  return table;
}

}  // namespace qb
