#include "kernels/activation_rows.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "kernels/base/parallel.h"
#include "kernels/base/small_floats.h"
#include "kernels/panels.h"
#include "kernels/quantize_rows/quantize_rows.h"

namespace qb {

namespace {

/// How rows are quantized under the instructions that the product may use.
struct RowQuantizer {
  QuantizeRowFn quantize;
  AbsoluteMaximumFn absolute_maximum;
};

RowQuantizer row_quantizer([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (includes(isa, Isa::avx512)) return {quantize_row_avx512, absolute_maximum_avx512};
  if (includes(isa, Isa::avx2)) return {quantize_row_avx2, absolute_maximum_avx2};
#endif
  return {quantize_row_ref, absolute_maximum_ref};
}

/// Elements of one row may be read up to the next multiple of 64; one line more keeps rows of 4096 out of one another's
/// cache sets.
std::int64_t padded_stride(std::int64_t k) { return round_up(k, 64) + 64; }

void sum_groups(const std::int8_t* codes, std::int64_t k, std::int64_t group, std::int32_t zero, std::int32_t* sums) {
  for (std::int64_t begin = 0; begin < k; begin += group, ++sums) {
    const std::int64_t end = std::min(begin + group, k);
    std::int32_t sum = 0;
    for (std::int64_t t = begin; t < end; ++t) sum += codes[t];
    *sums = sum - std::int32_t(end - begin) * zero;
  }
}

void make_s8_rows(const FloatRows& rows, const RowScaling& scaling, std::int64_t group, Isa isa, int threads,
                  GemmScratch& scratch, GemmArgs& args) {
  const std::int64_t stride = padded_stride(rows.k), groups = (rows.k + group - 1) / group;
  scratch.codes.resize(std::size_t(rows.m * stride));
  scratch.scale.resize(std::size_t(rows.m));
  scratch.zero.resize(std::size_t(rows.m));
  scratch.group_sum.resize(std::size_t(rows.m * groups));
  const RowQuantizer with = row_quantizer(isa);
  const bool dynamic = scaling.kind == RowScaling::Kind::dynamic_rows;
  const std::int32_t high = (1 << (scaling.bits - 1)) - 1, zero = dynamic ? 0 : scaling.zero;
  const std::int32_t low = zero == 0 ? -high : -high - 1;
  const auto quantize = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* x = rows.a + i * rows.stride;
      float scale = scaling.scale;
      if (dynamic) {
        scale = with.absolute_maximum(x, rows.k) / float(high);
        if (!(scale > 0.0f && std::isfinite(scale))) scale = 1.0f;
      }
      std::int8_t* codes = scratch.codes.data() + i * stride;
      with.quantize({x, codes, rows.k, round_up(rows.k, 64), scale, zero, low, high});
      sum_groups(codes, rows.k, group, zero, scratch.group_sum.data() + i * groups);
      scratch.scale[std::size_t(i)] = scale;
      scratch.zero[std::size_t(i)] = zero;
    }
  };
  // By reference: a std::function that owned the loop would allocate, and a timed call allocates nothing.
  parallel_for(rows.m, threads, 1, std::cref(quantize));
  args.a = scratch.codes.data();
  args.a_stride = stride;
  args.a_scale = scratch.scale.data();
  args.a_zero = scratch.zero.data();
  args.a_group_sum = scratch.group_sum.data();
}

void make_bf16_rows(const FloatRows& rows, int threads, GemmScratch& scratch, GemmArgs& args) {
  const std::int64_t stride = padded_stride(rows.k);
  scratch.halves.resize(std::size_t(rows.m * stride));
  const auto convert = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* x = rows.a + i * rows.stride;
      std::uint16_t* out = scratch.halves.data() + i * stride;
      std::fill(std::transform(x, x + rows.k, out, bf16_from_f32), out + round_up(rows.k, 64), std::uint16_t(0));
    }
  };
  parallel_for(rows.m, threads, 1, std::cref(convert));
  args.a = scratch.halves.data();
  args.a_stride = stride;
}

void make_binary_rows(const FloatRows& rows, int threads, GemmScratch& scratch, GemmArgs& args) {
  const std::int64_t words = (rows.k + 63) / 64;
  scratch.bits.assign(std::size_t(rows.m * words), 0);
  scratch.scale.resize(std::size_t(rows.m));
  const auto take_signs = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* x = rows.a + i * rows.stride;
      std::array<double, 16> sums{};
      for (std::int64_t t = 0; t < rows.k; ++t) {
        sums[std::size_t(t % 16)] += std::abs(double(x[t]));
        if (x[t] >= 0) scratch.bits[std::size_t(i * words + t / 64)] |= std::uint64_t(1) << (t % 64);
      }
      double sum = 0;
      for (const double part : sums) sum += part;
      scratch.scale[std::size_t(i)] = float(sum / double(rows.k));
    }
  };
  parallel_for(rows.m, threads, 1, std::cref(take_signs));
  args.a = scratch.bits.data();
  args.a_stride = words;
  args.a_scale = scratch.scale.data();
}

}  // namespace

std::int64_t GemmScratch::bytes() const {
  return std::int64_t(codes.capacity() + 2 * halves.capacity() + 8 * bits.capacity() +
                      4 * (scale.capacity() + zero.capacity() + group_sum.capacity()));
}

void make_rows(Activations activations, const FloatRows& rows, const RowScaling& scaling, std::int64_t group, Isa isa,
               int threads, GemmScratch& scratch, GemmArgs& args) {
  switch (activations) {
    case Activations::f32:
      args.a = rows.a;
      args.a_stride = rows.stride;
      break;
    case Activations::bf16: make_bf16_rows(rows, threads, scratch, args); break;
    case Activations::s8: make_s8_rows(rows, scaling, group, isa, threads, scratch, args); break;
    case Activations::binary: make_binary_rows(rows, threads, scratch, args); break;
  }
}

}  // namespace qb
