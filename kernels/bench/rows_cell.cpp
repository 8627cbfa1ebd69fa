#include "kernels/bench/rows_cell.h"

#include <algorithm>
#include <map>

#include "kernels/activation_rows.h"

namespace qb {

namespace {

constexpr KernelInfo variant(std::string_view name, std::string_view family, Activations activations, Isa needs) {
  return {
      .name = name, .family = family, .activations = activations, .needs = needs, .reference = name.ends_with("_ref")};
}

/// The variants of kernels/quantize_rows, bf16_rows and sign_rows: per family the reference, then rising preference.
constexpr KernelInfo kVariants[] = {
    variant("quantize_rows_ref", "quantize_rows", Activations::s8, Isa::none),
#if defined(__x86_64__)
    variant("quantize_rows_avx2", "quantize_rows", Activations::s8, Isa::avx2),
    variant("quantize_rows_avx512", "quantize_rows", Activations::s8, Isa::avx2 | Isa::avx512),
#elif defined(__aarch64__)
    variant("quantize_rows_neon", "quantize_rows", Activations::s8, Isa::neon),
#endif
    variant("bf16_rows_ref", "bf16_rows", Activations::bf16, Isa::none),
#if defined(__x86_64__)
    variant("bf16_rows_avx2", "bf16_rows", Activations::bf16, Isa::avx2),
    variant("bf16_rows_avx512", "bf16_rows", Activations::bf16, Isa::avx2 | Isa::avx512),
#elif defined(__aarch64__)
    variant("bf16_rows_neon", "bf16_rows", Activations::bf16, Isa::neon),
#endif
    variant("sign_rows_ref", "sign_rows", Activations::binary, Isa::none),
#if defined(__x86_64__)
    variant("sign_rows_avx2", "sign_rows", Activations::binary, Isa::avx2),
    variant("sign_rows_avx512", "sign_rows", Activations::binary, Isa::avx2 | Isa::avx512),
#elif defined(__aarch64__)
    variant("sign_rows_neon", "sign_rows", Activations::binary, Isa::neon),
#endif
};

bool is_best(const KernelInfo& kernel) {
  const auto after = std::span(kVariants).subspan(std::size_t(&kernel - kVariants) + 1);
  return std::ranges::none_of(after, [&](const KernelInfo& later) {
    return later.family == kernel.family && includes(host_isa(), later.needs);
  });
}

bool is_wanted(const KernelInfo& kernel, const std::vector<std::string>& wanted) {
  const auto word = [&](std::string_view one) { return std::ranges::find(wanted, one) != wanted.end(); };
  if (!includes(host_isa(), kernel.needs)) return false;
  return word("all") || (kernel.reference && word("reference")) || (word("best") && is_best(kernel));
}

/// One variant, and what it has made.
struct Maker {
  const KernelInfo* kernel = nullptr;
  const Buffer* x = nullptr;
  std::int64_t m = 0, k = 0;
  GemmScratch scratch;
  GemmArgs args{};
  std::vector<std::byte> made;

  void run(int threads) {
    RowScaling scaling;
    if (kernel->activations == Activations::s8) scaling.kind = RowScaling::Kind::dynamic_rows;
    make_rows(kernel->activations, {m, k, x->as<float>(), k}, scaling, /*group=*/k, kernel->needs, threads, scratch,
              args);
  }

  /// Rows without the space between them, then scales and sums where there are any.
  std::span<const std::byte> result() {
    const bool codes = kernel->activations == Activations::s8, signs = kernel->activations == Activations::binary;
    const std::int64_t element = codes ? 1 : signs ? 8 : 2, count = signs ? (k + 63) / 64 : k;
    const auto add = [&](const void* from, std::int64_t bytes) {
      const auto* first = static_cast<const std::byte*>(from);
      made.insert(made.end(), first, first + bytes);
    };
    made.clear();
    for (std::int64_t i = 0; i < m; ++i)
      add(static_cast<const std::byte*>(args.a) + i * args.a_stride * element, count * element);
    if (codes || signs) add(args.a_scale, 4 * m);
    if (codes) add(args.a_group_sum, 4 * m);
    return made;
  }
};

Comparison compare_bytes(std::span<const std::byte> expected, std::span<const std::byte> got) {
  Comparison result;
  if (!std::ranges::equal(expected, got)) result.fault = "wrong result: the rows differ from those of the reference";
  return result;
}

}  // namespace

std::vector<TableRow> measure_rows(const Bench& bench, const Options& options, const LayerShape& shape) {
  const std::int64_t values = shape.m * shape.k;
  Buffer x(std::size_t(4 * values));
  std::ranges::copy(random_activations(shape.m, shape.k), x.as<float>());
  std::vector<Maker> makers;
  std::map<std::string_view, std::vector<std::byte>> expected;
  for (const KernelInfo& kernel : kVariants) {
    if (kernel.reference) {
      Maker right{.kernel = &kernel, .x = &x, .m = shape.m, .k = shape.k, .scratch = {}, .made = {}};
      right.run(/*threads=*/1);
      right.result();
      expected[kernel.family] = std::move(right.made);
    }
    if (is_wanted(kernel, options.kernels))
      makers.push_back({.kernel = &kernel, .x = &x, .m = shape.m, .k = shape.k, .scratch = {}, .made = {}});
  }
  std::vector<Candidate> candidates;
  for (Maker& maker : makers) {
    Candidate candidate{.kernel = maker.kernel, .bytes = 4 * values, .cold = 4 * values >= bench.cold_bytes};
    candidate.run = [&](int threads) { maker.run(threads); };
    candidate.result = [&] { return maker.result(); };
    candidate.compare = [&] { return compare_bytes(expected.at(maker.kernel->family), maker.result()); };
    candidate.read_rate = [&](int threads, std::int64_t runs, std::size_t) {
      const std::int64_t size = 4 * values / (4096 * threads) * 4096 * threads;
      return size == 0 ? 0.0 : read_rate_now(x.data(), size, threads, runs);
    };
    candidates.push_back(std::move(candidate));
  }
  return measure_cell(bench, ProductFormat{}, shape, options.threads, candidates);
}

}  // namespace qb
