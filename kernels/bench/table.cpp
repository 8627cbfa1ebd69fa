#include "kernels/bench/table.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "kernels/base/clock.h"
#include "kernels/base/error.h"
#include "kernels/bench/random_matrix.h"

namespace qb {

namespace {

constexpr std::int64_t kReferenceProducts = std::int64_t(1) << 26;  // multiply-adds that a reference is timed on

/// Products that share their weights.
struct Group {
  QuantFormat format;
  std::vector<LayerShape> shapes;  ///< equal n and k
};

std::vector<Group> groups_of(const Options& options) {
  std::vector<Group> groups;
  for (const QuantFormat& format : options.formats) {
    const std::size_t first = groups.size();
    for (const LayerShape& shape : options.shapes) {
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

bool is_wanted(const KernelInfo& kernel, const std::vector<std::string>& wanted, const QuantFormat& format,
               const LayerShape& shape) {
  if (std::ranges::find(wanted, kernel.name) != wanted.end()) return true;
  if (kernel.by_name_only) return false;
  const auto word = [&](std::string_view one) { return std::ranges::find(wanted, one) != wanted.end(); };
  if (word("all")) return true;
  if (kernel.peer) return word("peers");
  if (kernel.reference && word("reference")) return true;
  return word("best") && choose_kernel("best", kernel.activations, format, shape.k, shape.m, host_isa()) == &kernel;
}

class Progress {
 public:
  explicit Progress(std::size_t all) : all_(all) {}
  void show(const std::string& what) {
    const double seconds = double(now_ns() - start_ns_) * 1e-9;
    const double rate = done_ > 0 ? double(done_) / seconds : 0;
    const auto left = rate > 0 ? std::int64_t(double(all_ - done_) / rate) : 0;
    const bool terminal = ::isatty(STDERR_FILENO) != 0;
    fmt::print(stderr, "{}{} of {} products, {:.1f}/min, {:02}:{:02} left: {}{}", terminal ? "\r\x1b[K" : "", done_,
               all_, 60 * rate, left / 60, left % 60, what, terminal ? "" : "\n");
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

/// Weights of a group in the layouts of all kernels that were asked for. Says why a kernel is missing.
std::vector<PreparedMatrix> prepare_all(const Options& options, const Group& group, const PackedMatrix& weights,
                                        std::vector<std::string>& missing) {
  std::vector<PreparedMatrix> prepared;
  for (const KernelInfo& kernel : kernels()) {
    const auto wanted = [&](const LayerShape& shape) {
      return is_wanted(kernel, options.kernels, group.format, shape);
    };
    if (!applies(kernel, group.format, weights.k) || std::ranges::none_of(group.shapes, wanted)) continue;
    if (!includes(host_isa(), kernel.needs)) {
      missing.push_back(fmt::format("{} on {}: needs {}", kernel.name, to_text(group.format), to_text(kernel.needs)));
      continue;
    }
    try {
      prepared.push_back(prepare(kernel, weights));
    } catch (const Unsupported& error) {
      missing.push_back(fmt::format("{} on {}: {}", kernel.name, to_text(group.format), error.what()));
    }
  }
  return prepared;
}

/// The prepared weights of the kernels that are wanted for one shape.
std::vector<const PreparedMatrix*> for_shape(const Options& options, const Group& group, const LayerShape& shape,
                                             const std::vector<PreparedMatrix>& prepared) {
  std::vector<const PreparedMatrix*> chosen;
  for (const PreparedMatrix& one : prepared) {
    const bool long_reference = one.kernel->reference && shape.m * shape.n * shape.k > kReferenceProducts;
    if (!long_reference && is_wanted(*one.kernel, options.kernels, group.format, shape)) chosen.push_back(&one);
  }
  return chosen;
}

}  // namespace

bool applies(const KernelInfo& kernel, const QuantFormat& format, std::int64_t k) {
  if (kernel.operation != Operation::product || !kernel.accepts(format, k)) return false;
  const CodeKind own = kernel.activations == Activations::bf16 ? CodeKind::bf16 : CodeKind::f32;
  if (kernel.accepts(QuantFormat{}, k) && format.kind != own) return false;
  const KernelInfo* chosen = choose_kernel("reference", kernel.activations, format, k, 1, host_isa());
  return chosen != nullptr && chosen->family == kernel.family;
}

Table measure_table(const Options& options) {
  Table table;
  const Bench bench{.rounds = options.rounds, .cold_bytes = options.cold_bytes};
  const std::vector<Group> groups = groups_of(options);
  Progress progress(options.formats.size() * options.shapes.size());
  for (const Group& group : groups) {
    const std::int64_t n = group.shapes.front().n, k = group.shapes.front().k;
    progress.show(fmt::format("{} n:{} k:{}, preparing", to_text(group.format), n, k));
    const auto any = [&](const KernelInfo& kernel) { return applies(kernel, group.format, k); };
    if (std::ranges::none_of(kernels(), any)) {
      table.missing.push_back(
          fmt::format("{}: no family of its own computes it; it runs decoded to float32", to_text(group.format)));
      for (std::size_t i = 0; i < group.shapes.size(); ++i) progress.step();
      continue;
    }
    const PackedMatrix weights = random_weights(group.format, n, k, /*seed=*/1);
    const std::vector<PreparedMatrix> prepared = prepare_all(options, group, weights, table.missing);
    for (const LayerShape& shape : group.shapes) {
      progress.show(fmt::format("{} m:{} n:{} k:{}", to_text(group.format), shape.m, n, k));
      const std::vector<float> a = random_activations(shape.m, k);
      const auto chosen = for_shape(options, group, shape, prepared);
      for (TableRow& row : measure_product(bench, {&weights, a.data(), shape.m}, shape, options.threads, chosen))
        table.rows.push_back(std::move(row));
      progress.step();
    }
  }
  progress.end();
  return table;
}

}  // namespace qb
