#include "kernels/activation_rows.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "kernels/bf16_rows/best_bf16_row.h"
#include "kernels/panels.h"
#include "kernels/quantize_rows/row_quantizer.h"
#include "kernels/sign_rows/best_sign_row.h"

namespace qb {

namespace {

/// Elements of one row may be read up to the next multiple of 64; one line more keeps rows of 4096 out of one another's
/// cache sets.
std::int64_t padded_stride(std::int64_t k) { return round_up(k, 64) + 64; }

void make_s8_rows(const FloatRows& rows, const RowScaling& scaling, std::int64_t group, Isa isa, int threads,
                  GemmScratch& scratch, GemmArgs& args) {
  const std::int64_t stride = rows.codes ? rows.stride : padded_stride(rows.k), groups = (rows.k + group - 1) / group;
  const bool grouped = scaling.group > 0 && scaling.group < rows.k;
  const std::int64_t scales = grouped ? groups : 1;
  if (!rows.codes) scratch.codes.resize(std::size_t(rows.m * stride));
  scratch.scale.resize(std::size_t(rows.m * scales));
  scratch.zero.resize(std::size_t(rows.m));
  scratch.group_sum.resize(std::size_t(rows.m * groups));
  const RowQuantizer with = row_quantizer(isa);
  const bool dynamic = scaling.kind == RowScaling::Kind::dynamic_rows;
  const std::int32_t zero = dynamic ? 0 : scaling.zero;
  const CodeRange range = code_range(scaling);
  const std::int8_t* all_codes = rows.codes ? rows.codes : scratch.codes.data();
  const auto quantize = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* x = rows.a + i * rows.stride;
      std::int8_t* codes = scratch.codes.data() + i * stride;
      float* scale = scratch.scale.data() + i * scales;
      if (grouped) {
        with.quantize_groups({x, codes, rows.k, round_up(rows.k, 64), scaling.group, range.high, group, scale});
      } else {
        *scale = dynamic ? with.absolute_maximum(x, rows.k) / float(range.high) : scaling.scale;
        if (dynamic && !(*scale > 0.0f && std::isfinite(*scale))) *scale = 1.0f;
        if (!rows.codes) with.quantize({x, codes, rows.k, round_up(rows.k, 64), *scale, zero, range.low, range.high});
      }
      with.sum_groups({all_codes + i * stride, rows.k, group, zero, scratch.group_sum.data() + i * groups});
      scratch.zero[std::size_t(i)] = zero;
    }
  };
  // By reference: a std::function that owned the loop would allocate, and a timed call allocates nothing.
  parallel_for(rows.m, threads, 1, std::cref(quantize));
  args.a = all_codes;
  args.a_stride = stride;
  args.a_scale = scratch.scale.data();
  args.a_scales = scales;
  args.a_zero = scratch.zero.data();
  args.a_group_sum = scratch.group_sum.data();
}

void make_bf16_rows(const FloatRows& rows, Isa isa, int threads, GemmScratch& scratch, GemmArgs& args) {
  const std::int64_t stride = padded_stride(rows.k);
  scratch.halves.resize(std::size_t(rows.m * stride));
  const Bf16RowFn bf16_row = best_bf16_row(isa);
  const auto convert = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      bf16_row({rows.a + i * rows.stride, scratch.halves.data() + i * stride, rows.k, round_up(rows.k, 64)});
  };
  parallel_for(rows.m, threads, 1, std::cref(convert));
  args.a = scratch.halves.data();
  args.a_stride = stride;
}

void make_binary_rows(const FloatRows& rows, Isa isa, int threads, GemmScratch& scratch, GemmArgs& args) {
  const std::int64_t words = round_up(rows.k, 512) / 64 + 8;  // whole lines and one more, as above
  scratch.bits.resize(std::size_t(rows.m * words));
  scratch.scale.resize(std::size_t(rows.m));
  const SignRowFn sign_row = best_sign_row(isa);
  const auto take_signs = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      scratch.scale[std::size_t(i)] = sign_row(rows.a + i * rows.stride, rows.k, scratch.bits.data() + i * words);
  };
  parallel_for(rows.m, threads, 1, std::cref(take_signs));
  args.a = scratch.bits.data();
  args.a_stride = words;
  args.a_scale = scratch.scale.data();
}

}  // namespace

CodeRange code_range(const RowScaling& scaling) {
  const std::int32_t high = (1 << (scaling.bits - 1)) - 1;
  const bool symmetric = scaling.kind == RowScaling::Kind::dynamic_rows || scaling.zero == 0;
  return {symmetric ? -high : -high - 1, high};
}

void check_scaling(const RowScaling& scaling) {
  QB_EXPECTS(scaling.bits >= 2 && scaling.bits <= 8);
  QB_EXPECTS(scaling.group == 0 || (scaling.kind == RowScaling::Kind::dynamic_rows &&
                                    std::ranges::find(kActivationGroups, scaling.group) != kActivationGroups.end()));
  if (scaling.kind != RowScaling::Kind::fixed) return;
  const std::int32_t half = 1 << (scaling.bits - 1);
  QB_EXPECTS(std::isfinite(scaling.scale) && scaling.scale > 0 && scaling.zero >= -half && scaling.zero < half);
}

bool takes_activation_group(const KernelInfo& kernel, const QuantFormat& format, std::int64_t group) {
  return kernel.family == "gemm_s8_int" && format.sharing == Sharing::group && group % format.group == 0;
}

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
    case Activations::bf16: make_bf16_rows(rows, isa, threads, scratch, args); break;
    case Activations::s8: make_s8_rows(rows, scaling, group, isa, threads, scratch, args); break;
    case Activations::binary: make_binary_rows(rows, isa, threads, scratch, args); break;
  }
}

}  // namespace qb
