#include "kernels/gemm.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "kernels/base/cpu.h"
#include "kernels/base/small_floats.h"
#include "tests/kernels/gemm_case.h"

namespace qb {

namespace {

/// Formats that between them reach every branch of every family.
const std::vector<std::string> kFormats = {
    "f32", "bf16",
    // integers by channel and tensor
    "q8c", "q8t", "q8cz", "q8co", "q7c.f16", "q5cz", "q4c", "q4tz", "q3t", "q1cz",
    // integers in groups
    "q8g32", "q8g32.f16", "q8g32.e8m0", "q8g16z", "q7g48", "q6g16.i8", "q6g48z", "q5g32.f16", "q5g32o.f16", "q5g32o.i6",
    "q5g96z.f16", "q4g16", "q4g32", "q4g32z", "q4g64", "q4g32.f16", "q4g32o.f16", "q4g32o.i6", "q4g48", "q4g128.i8",
    "q3g16.i6", "q3g48z", "q2g16o.i4", "q2g64z", "q2g128", "q1g32o.f16", "q1g256",
    // sets of levels
    "binaryc", "binaryg48", "binaryg64", "binaryg192", "binaryg128.f16", "ternaryc", "ternaryg256.f16", "tritc",
    "tritg256.f16", "iq4nlc", "iq4nlg32.f16", "iq4nlg32.i6", "nf4g64", "e2m1c", "e2m1g32.e8m0", "e2m1g16.e4m3",
    "e2m3g32.e8m0", "e2m3g16", "e3m2g32.e8m0", "e4m3c", "e5m2t",
    // tables by channel
    "t2c", "t5c", "t8c",
    // tables
    "t4c", "t4t", "t3g16", "t8t", "t6c", "t4g64o", "t3g16o.f16", "af4g64", "q2cz", "q4cz", "q6c",
    // powers of two and sums of them
    "pot3g32", "pot4c", "pot5g16.f16", "apot4g32.e8m0", "apot5t", "apot6g64", "apot7c", "nf4g64.dq8", "q4g32.dq8"};

/// Calls body(kernel, format) for each pair that the table admits and this host can run.
template <class Body>
void for_each_kernel(const Body& body) {
  for (const KernelInfo& kernel : kernels()) {
    if (kernel.operation != Operation::product) continue;
    if (!includes(host_isa(), kernel.needs)) {
      MESSAGE("not run on this host: ", kernel.name);
      continue;
    }
    for (const std::string& text : kFormats) {
      const QuantFormat format = parse_quant_format(text);
      if (kernel.accepts(format, 64)) body(kernel, format);
    }
  }
}

/// The relative error of weights that a family rounds to bf16: half a unit in the last of 8 bits.
double weight_rounding(const KernelInfo& kernel, const QuantFormat& format) {
  if (kernel.activations != Activations::bf16 || format.kind == CodeKind::bf16) return 0.0;
  const bool few_bits = format.kind == CodeKind::integer
                            ? !format.offsets
                            : format.kind == CodeKind::levels && format.levels != LevelSet::nf4 &&
                                  format.levels != LevelSet::af4 && format.levels != LevelSet::apot7;
  return kernel.family == "gemm_bf16_w" && few_bits ? 0.0 : 0x1p-8;
}

void check_against_reference(const KernelInfo& kernel, const GemmCase& c) {
  const KernelInfo& reference = reference_of(kernel);
  for (const RowScaling& scaling : scalings_for(kernel, c.w.format)) {
    INFO(kernel.name, " ", to_text(c.w.format), " m=", c.m, " n=", c.w.n, " k=", c.w.k, " zero=", scaling.zero,
         " activations' group=", scaling.group);
    const std::string fault =
        disagreement(c, product(kernel, c, scaling), product(reference, c, scaling), rounding_bound(kernel, c.w));
    CHECK(fault == "");
  }
}

}  // namespace

TEST_CASE("every kernel agrees with its reference on awkward shapes") {
  for_each_kernel([](const KernelInfo& kernel, const QuantFormat& format) {
    if (kernel.reference) return;
    const std::int64_t panel = kernel.column_step, group = format.group > 0 ? format.group : 16;
    for (const std::int64_t m : {1, 2, 3, 4, 7, 8, 16, 33, 70})
      check_against_reference(kernel, gemm_case(format, m, panel + 1, group + 3, /*seed=*/std::uint64_t(m)));
    for (const std::int64_t n : {std::int64_t(1), std::int64_t(9), std::int64_t(17), panel - 1, panel, 2 * panel + 5})
      check_against_reference(kernel, gemm_case(format, 7, n, group + 1, /*seed=*/std::uint64_t(n)));
    for (const std::int64_t k : {std::int64_t(1), std::int64_t(3), group - 1, group, group + 1, std::int64_t(1027)})
      check_against_reference(kernel, gemm_case(format, 5, 11, k, /*seed=*/std::uint64_t(k)));
    check_against_reference(kernel, gemm_case(format, 2, 3, 4099, /*seed=*/4099));
  });
}

TEST_CASE("every kernel agrees with its reference at the ends of the ranges, on zeros, and on single values") {
  for_each_kernel([](const KernelInfo& kernel, const QuantFormat& format) {
    if (kernel.reference || format.kind == CodeKind::f32) return;
    for (const Fill fill : {Fill::lowest, Fill::highest, Fill::opposed, Fill::zero, Fill::single})
      for (const std::int64_t m : {1, 3, 7})
        check_against_reference(kernel, gemm_case(format, m, kernel.column_step + 1, 515, /*seed=*/3, fill));
  });
}

TEST_CASE("a reference agrees with a sum of real values in double") {
  for_each_kernel([](const KernelInfo& kernel, const QuantFormat& format) {
    if (!kernel.reference) return;
    const GemmCase c = gemm_case(format, 3, 5, 131, /*seed=*/11);
    const std::vector<float> w = dequantize(c.w);
    for (const RowScaling& scaling : scalings_for(kernel, format)) {
      INFO(kernel.name, " ", to_text(format), " zero=", scaling.zero, " activations' group=", scaling.group);
      const std::vector<float> y = product(kernel, c, scaling);
      for (std::int64_t i = 0; i < c.m; ++i) {
        const float* x = c.a.data() + i * c.w.k;
        const int high = (1 << (scaling.bits - 1)) - 1, low = scaling.zero == 0 ? -high : -high - 1;
        std::vector<float> scales(std::size_t(c.w.k), scaling.scale);  // of each column
        const std::int64_t shared = scaling.group > 0 ? scaling.group : c.w.k;
        if (scaling.kind == RowScaling::Kind::dynamic_rows)
          for (std::int64_t t = 0; t < c.w.k; ++t) {
            const float *first = x + t / shared * shared, *last = x + std::min(c.w.k, (t / shared + 1) * shared);
            const auto below = [](float p, float q) { return std::abs(p) < std::abs(q); };
            scales[std::size_t(t)] = std::abs(*std::max_element(first, last, below)) / float(high);
          }
        const double mean_magnitude =
            std::accumulate(x, x + c.w.k, 0.0, [](double s, float v) { return s + std::abs(double(v)); }) /
            double(c.w.k);
        for (std::int64_t j = 0; j < c.w.n; ++j) {
          double sum = 0, magnitudes = 0;
          for (std::int64_t t = 0; t < c.w.k; ++t) {
            double value =
                kernel.activations == Activations::binary ? std::copysign(mean_magnitude, x[t] + 0.0f) : x[t];
            const float scale = scales[std::size_t(t)];
            if (scaling.kind != RowScaling::Kind::none)
              value = (std::clamp(std::nearbyint(x[t] / scale) + float(scaling.zero), float(low), float(high)) -
                       float(scaling.zero)) *
                      double(scale);
            if (kernel.activations == Activations::bf16) value = f32_from_bf16(bf16_from_f32(x[t]));
            sum += value * double(w[std::size_t(j * c.w.k + t)]);
            magnitudes += std::abs(value * double(w[std::size_t(j * c.w.k + t)]));
          }
          // At most k + 4 roundings of 2^-24 meet any term: those of the sum, of dequantize and of the scales.
          const double bound = double(c.w.k + 4) * 0x1p-24 + weight_rounding(kernel, format);
          CHECK(std::abs(double(y[std::size_t(i * c.w.n + j)]) - sum) <= bound * magnitudes);
        }
      }
    }
  });
}

TEST_CASE("the bits do not depend on threads, nor on the rows that are multiplied together") {
  for_each_kernel([](const KernelInfo& kernel, const QuantFormat& format) {
    for (const auto& [m, n, threads] : {std::array<std::int64_t, 3>{61, 3, 2}, {5, 300, 3}, {1, 130, 2}}) {
      const GemmCase c = gemm_case(format, m, n, 100, /*seed=*/5);
      for (const RowScaling& scaling : scalings_for(kernel, format)) {
        if (scaling.group == 0 && scaling.zero == 0 && kernel.activations == Activations::s8) continue;
        INFO(kernel.name, " ", to_text(format), " m=", m, " n=", n, " threads=", threads);
        const std::vector<float> y = product(kernel, c, scaling);
        // A peer promises its bound only: in which order it sums is its own affair.
        const double slack = kernel.peer ? rounding_bound(kernel, c.w) : 0.0;
        CHECK(disagreement(c, product(kernel, c, scaling, int(threads)), y, slack) == "");
        const GemmCase last_row{1, c.w, {c.a.end() - c.w.k, c.a.end()}};
        CHECK(disagreement(last_row, product(kernel, last_row, scaling), {y.end() - n, y.end()}, slack) == "");
      }
    }
  });
}

TEST_CASE("rows may be strided, misaligned, and are written nowhere else") {
  for_each_kernel([](const KernelInfo& kernel, const QuantFormat& format) {
    const std::int64_t m = 5, n = kernel.column_step + 3, k = 67, a_stride = k + 3, y_stride = n + 5;
    const GemmCase c = gemm_case(format, m, n, k, /*seed=*/9);
    RowScaling scaling = scalings_for(kernel.activations).front();
    if (takes_activation_group(kernel, format, 32)) scaling.group = 32;
    std::vector<float> a(std::size_t(m * a_stride + 1), 1e30f), y(std::size_t(m * y_stride + 1), -7.0f);
    for (std::int64_t i = 0; i < m; ++i) std::copy_n(c.a.begin() + i * k, k, a.begin() + 1 + i * a_stride);
    GemmScratch scratch;
    gemm(prepare(kernel, c.w), {m, a.data() + 1, a_stride, scaling, y.data() + 1, y_stride, 1}, scratch);
    const std::vector<float> expected = product(kernel, c, scaling);
    INFO(kernel.name, " ", to_text(format));
    CHECK(y[0] == -7.0f);
    for (std::int64_t i = 0; i < m; ++i) {
      const auto row = y.begin() + 1 + i * y_stride;
      CHECK(std::equal(row, row + n, expected.begin() + i * n));
      CHECK(std::all_of(row + n, row + y_stride, [](float value) { return value == -7.0f; }));
    }
  });
}

TEST_CASE("rows of one group of activations give the bits of rows with one scale") {
  const QuantFormat format = parse_quant_format("q4g16");
  for (const KernelInfo& kernel : kernels()) {
    if (!includes(host_isa(), kernel.needs) || !takes_activation_group(kernel, format, 64)) continue;
    for (const std::int64_t k : {33, 63, 64}) {
      if (!kernel.accepts(format, k)) continue;
      const GemmCase c = gemm_case(format, 3, 40, k, /*seed=*/6);
      INFO(kernel.name, " k=", k);
      CHECK(product(kernel, c, {.kind = RowScaling::Kind::dynamic_rows, .group = 64}) ==
            product(kernel, c, {.kind = RowScaling::Kind::dynamic_rows}));
    }
  }
}

TEST_CASE("groups of zeros among others have scale 1, and rows may have any, as small or large as floats are") {
  for (const char* text : {"q4g32o.i6", "e2m1g32.e8m0", "q8g32.e8m0"})
    for (const int lowest : {-142, -120, -110, -60, -20, 0, 20}) {
      GemmCase c = gemm_case(parse_quant_format(text), 9, 37, 161, /*seed=*/8);
      for (std::int64_t i = 0; i < c.m; ++i)
        for (std::int64_t t = 0; t < c.w.k; ++t) {
          float& value = c.a[std::size_t(i * c.w.k + t)];
          value = (t / 32 + i) % 3 == 0 ? 0.0f : std::ldexp(value, int(t / 32 * 20 + lowest));
        }
      for_each_kernel([&](const KernelInfo& kernel, const QuantFormat& accepted) {
        if (accepted == c.w.format && !kernel.reference) check_against_reference(kernel, c);
      });
    }
}

TEST_CASE("values that are not finite give some result, never a crash") {
  for_each_kernel([](const KernelInfo& kernel, const QuantFormat& format) {
    GemmCase c = gemm_case(format, 4, 5, 70, /*seed=*/1);
    c.a[3] = NAN;
    c.a[75] = INFINITY;
    c.a[145] = -INFINITY;
    c.a[215] = 3e38f;
    for (const RowScaling& scaling : scalings_for(kernel, format)) CHECK(product(kernel, c, scaling).size() == 20);
  });
}

TEST_CASE("an integer product refuses a depth at which int32 could overflow, in words") {
  const KernelInfo& kernel = *find_kernel("gemm_s8_q8_ref");
  const PackedMatrix deep = random_weights(parse_quant_format("q8cz"), 1, 33026, /*seed=*/1);
  CHECK_THROWS_WITH_AS(prepare(kernel, deep),
                       "weights of format q8cz with k = 33026: a sum could leave int32; k up to 33025 is exact",
                       Unsupported);
  const GemmCase deepest = gemm_case(parse_quant_format("q8cz"), 1, 1, 33025, /*seed=*/1, Fill::opposed);
  for (const KernelInfo& variant : kernels())
    if (variant.family == "gemm_s8_q8" && includes(host_isa(), variant.needs))
      check_against_reference(variant, deepest);
}

TEST_CASE("a product in groups refuses a depth at which int32 could overflow, and takes the one before") {
  const KernelInfo& kernel = *find_kernel("gemm_s8_int_ref");
  const auto refused = [&](const char* format, std::int64_t k, const char* words) {
    CHECK_THROWS_WITH_AS(prepare(kernel, random_weights(parse_quant_format(format), 1, k, /*seed=*/1)), words,
                         Unsupported);
  };
  refused("q8co", 33026,
          "weights of format q8co with k = 33026: a sum could leave int32; 33025 weights per scale are exact");
  refused("iq4nlg66560", 66560,
          "weights of format iq4nlg66560 with k = 66560: a sum could leave int32; 66311 weights per scale are exact");
  refused("ternaryc", 8421505,
          "weights of format ternaryc with k = 8421505: a sum could leave int32; 8421504 weights per scale are exact");
  const GemmCase deepest = gemm_case(parse_quant_format("q8co"), 1, 1, 33025, /*seed=*/1, Fill::opposed);
  const GemmCase long_row = gemm_case(parse_quant_format("iq4nlg64"), 1, 1, 66560, /*seed=*/1, Fill::opposed);
  // The longest rows whose levels AVX-512 multiplies where they lie in their bytes, and one beyond.
  std::vector<GemmCase> in_place;
  for (const char* format : {"binaryc", "q2c", "q4c"})
    for (const std::int64_t k : {1 << 16, (1 << 16) + 1})
      in_place.push_back(gemm_case(parse_quant_format(format), 1, 1, k, /*seed=*/1, Fill::opposed));
  for (const KernelInfo& variant : kernels()) {
    if (variant.family != "gemm_s8_int" || !includes(host_isa(), variant.needs)) continue;
    if (variant.accepts(deepest.w.format, deepest.w.k)) check_against_reference(variant, deepest);
    if (variant.accepts(long_row.w.format, long_row.w.k)) check_against_reference(variant, long_row);
    for (const GemmCase& row : in_place)
      if (variant.accepts(row.w.format, row.w.k)) check_against_reference(variant, row);
  }
}

}  // namespace qb
