#include "kernels/gemm.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
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

/// Codes of one row may be read up to the next multiple of 64; one line more keeps rows of 4096 out of one another's
/// cache sets.
std::int64_t code_stride(std::int64_t k) { return round_up(k, 64) + 64; }

void sum_groups(const std::int8_t* codes, std::int64_t k, std::int64_t group, std::int32_t zero, std::int32_t* sums) {
  for (std::int64_t begin = 0; begin < k; begin += group, ++sums) {
    const std::int64_t end = std::min(begin + group, k);
    std::int32_t sum = 0;
    for (std::int64_t t = begin; t < end; ++t) sum += codes[t];
    *sums = sum - std::int32_t(end - begin) * zero;
  }
}

void check_call(const PreparedMatrix& w, const GemmCall& call) {
  QB_EXPECTS(w.kernel != nullptr && call.m >= 0 && call.threads >= 1);
  QB_EXPECTS(call.m == 0 || (call.a != nullptr && call.y != nullptr));
  QB_EXPECTS(call.a_stride >= w.k && call.y_stride >= w.n);
  const RowScaling& scaling = call.scaling;
  QB_EXPECTS((scaling.kind == RowScaling::Kind::none) == (w.kernel->activations == Activations::f32));
  if (scaling.kind == RowScaling::Kind::none) return;
  QB_EXPECTS(scaling.bits >= 2 && scaling.bits <= 8);
  if (scaling.kind != RowScaling::Kind::fixed) return;
  const std::int32_t half = 1 << (scaling.bits - 1);
  QB_EXPECTS(std::isfinite(scaling.scale) && scaling.scale > 0 && scaling.zero >= -half && scaling.zero < half);
}

/// Fills the scratch with codes, scales, zeros and group sums of every row.
void quantize_rows(const PreparedMatrix& w, const GemmCall& call, GemmScratch& scratch) {
  const std::int64_t stride = code_stride(w.k), groups = groups_per_row(w.format, w.k);
  const std::int64_t group = w.format.sharing == Sharing::group ? w.format.group : w.k;
  scratch.codes.resize(std::size_t(call.m * stride));
  scratch.scale.resize(std::size_t(call.m));
  scratch.zero.resize(std::size_t(call.m));
  scratch.group_sum.resize(std::size_t(call.m * groups));
  const RowQuantizer with = row_quantizer(w.kernel->needs);
  const bool dynamic = call.scaling.kind == RowScaling::Kind::dynamic_rows;
  const std::int32_t high = (1 << (call.scaling.bits - 1)) - 1, zero = dynamic ? 0 : call.scaling.zero;
  const std::int32_t low = zero == 0 ? -high : -high - 1;
  const auto quantize = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* x = call.a + i * call.a_stride;
      float scale = call.scaling.scale;
      if (dynamic) {
        scale = with.absolute_maximum(x, w.k) / float(high);
        if (!(scale > 0.0f && std::isfinite(scale))) scale = 1.0f;
      }
      std::int8_t* codes = scratch.codes.data() + i * stride;
      with.quantize({x, codes, w.k, round_up(w.k, 64), scale, zero, low, high});
      sum_groups(codes, w.k, group, zero, scratch.group_sum.data() + i * groups);
      scratch.scale[std::size_t(i)] = scale;
      scratch.zero[std::size_t(i)] = zero;
    }
  };
  // By reference: a std::function that owned the loop would allocate, and a timed call allocates nothing.
  parallel_for(call.m, call.threads, 1, std::cref(quantize));
}

/// Parts of `count` units in `step`s that `threads` threads do at once, as a share of what they could do.
double busy_share(std::int64_t count, std::int64_t step, int threads) {
  const std::int64_t steps = (count + step - 1) / step;
  return double(steps) / double(round_up(steps, threads));
}

/// The part of the product that begins at row `begin` and has `rows` rows.
GemmArgs rows_of(const GemmArgs& all, std::int64_t begin, std::int64_t rows, std::int64_t groups) {
  GemmArgs part = all;
  part.m = rows;
  part.y += begin * all.y_stride;
  if (all.a_scale == nullptr) {
    part.a = static_cast<const float*>(all.a) + begin * all.a_stride;
    return part;
  }
  part.a = static_cast<const std::int8_t*>(all.a) + begin * all.a_stride;
  part.a_scale += begin;
  part.a_zero += begin;
  part.a_group_sum += begin * groups;
  return part;
}

constexpr std::int64_t kRowStep = 24;  // a multiple of most tiles' rows

}  // namespace

PreparedMatrix prepare(const KernelInfo& kernel, const PackedMatrix& weights) {
  QB_EXPECTS(kernel.accepts(weights.format, weights.k));
  return {&kernel, weights.format, weights.n, weights.k, kernel.prepare(weights)};
}

std::int64_t GemmScratch::bytes() const {
  return std::int64_t(codes.capacity() + 4 * (scale.capacity() + zero.capacity() + group_sum.capacity()));
}

void gemm(const PreparedMatrix& w, const GemmCall& call, GemmScratch& scratch) {
  check_call(w, call);
  if (call.m == 0) return;
  GemmArgs args{call.m,         w.n,    w.k,          0, w.n, call.a, call.a_stride, nullptr, nullptr, nullptr,
                w.bytes.data(), call.y, call.y_stride};
  if (w.kernel->activations == Activations::s8) {
    quantize_rows(w, call, scratch);
    args.a = scratch.codes.data();
    args.a_stride = code_stride(w.k);
    args.a_scale = scratch.scale.data();
    args.a_zero = scratch.zero.data();
    args.a_group_sum = scratch.group_sum.data();
  }
  const std::int64_t step = w.kernel->column_step, groups = groups_per_row(w.format, w.k);
  if (busy_share(w.n, step, call.threads) >= busy_share(call.m, kRowStep, call.threads)) {
    parallel_for(w.n, call.threads, step, [&](std::int64_t begin, std::int64_t end) {
      GemmArgs part = args;
      part.n_begin = begin;
      part.n_end = end;
      w.kernel->run(part);
    });
  } else {
    const auto multiply = [&](std::int64_t begin, std::int64_t end) {
      w.kernel->run(rows_of(args, begin, end - begin, groups));
    };
    parallel_for(call.m, call.threads, kRowStep, std::cref(multiply));
  }
}

double rounding_bound(const KernelInfo& kernel, const PackedMatrix& weights) {
  if (kernel.activations == Activations::s8)
    return 0.0;  // the families define every rounding: variants agree bit for bit
  // Reference and variant each err by at most gamma(k) = k u / (1 - k u), u = 2^-24, times sum |a w|, whatever the
  // order of summation and with or without fused operations (Higham, Accuracy and Stability of Numerical Algorithms,
  // section 3.1).
  const double error = double(weights.k) * 0x1p-24;
  return error < 0.5 ? 2 * error / (1 - error) : 1.0;
}

}  // namespace qb
