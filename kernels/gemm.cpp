#include "kernels/gemm.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>

#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "kernels/panels.h"

namespace qb {

namespace {

void check_call(const PreparedMatrix& w, const GemmCall& call) {
  QB_EXPECTS(w.kernel != nullptr && call.m >= 0 && call.threads >= 1);
  QB_EXPECTS(w.kernel->operation == Operation::product);
  QB_EXPECTS(call.m == 0 || ((call.a != nullptr) != (call.codes != nullptr) && call.y != nullptr));
  QB_EXPECTS(call.a_stride >= w.k && call.y_stride >= w.n);
  const RowScaling& scaling = call.scaling;
  QB_EXPECTS((scaling.kind == RowScaling::Kind::none) == (w.kernel->activations != Activations::s8));
  QB_EXPECTS(call.codes == nullptr || scaling.kind == RowScaling::Kind::fixed);
  QB_EXPECTS(scaling.group == 0 || takes_activation_group(*w.kernel, w.format, scaling.group));
  if (scaling.kind != RowScaling::Kind::none) check_scaling(scaling);
}

/// Parts of `count` units in `step`s that `threads` threads do at once, as a share of what they could do.
double busy_share(std::int64_t count, std::int64_t step, int threads) {
  const std::int64_t steps = (count + step - 1) / step;
  return double(steps) / double(round_up(steps, threads));
}

std::int64_t element_bytes(Activations activations) {
  switch (activations) {
    case Activations::f32: return 4;
    case Activations::bf16: return 2;
    case Activations::s8: return 1;
    case Activations::binary: return 8;
  }
  return 0;
}

/// The part of the product that begins at row `begin` and has `rows` rows.
GemmArgs rows_of(const GemmArgs& all, Activations activations, std::int64_t begin, std::int64_t rows,
                 std::int64_t groups) {
  GemmArgs part = all;
  part.m = rows;
  part.y += begin * all.y_stride;
  part.a = static_cast<const std::byte*>(all.a) + begin * all.a_stride * element_bytes(activations);
  if (all.a_scale) part.a_scale += begin * all.a_scales;
  if (all.a_zero) part.a_zero += begin;
  if (all.a_group_sum) part.a_group_sum += begin * groups;
  return part;
}

constexpr std::int64_t kRowStep = 24;  // a multiple of most tiles' rows

}  // namespace

PreparedMatrix prepare(const KernelInfo& kernel, const PackedMatrix& weights) {
  QB_EXPECTS(kernel.accepts(weights.format, weights.k));
  return {&kernel, weights.format, weights.n, weights.k, kernel.prepare(weights)};
}

void gemm(const PreparedMatrix& w, const GemmCall& call, GemmScratch& scratch) {
  check_call(w, call);
  if (call.m == 0) return;
  const Activations activations = w.kernel->activations;
  GemmArgs args{.m = call.m,
                .n = w.n,
                .k = w.k,
                .n_begin = 0,
                .n_end = w.n,
                .a = nullptr,
                .a_stride = 0,
                .a_scale = nullptr,
                .a_scales = 1,
                .a_zero = nullptr,
                .a_group_sum = nullptr,
                .w = w.bytes.data(),
                .y = call.y,
                .y_stride = call.y_stride,
                .threads = 1};
  make_rows(activations, {call.m, w.k, call.a, call.a_stride, call.codes}, call.scaling,
            w.format.sharing == Sharing::group ? w.format.group : w.k, w.kernel->needs, call.threads, scratch, args);
  if (w.kernel->takes_whole_calls) {
    args.threads = call.threads;
    return w.kernel->run(args);
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
      w.kernel->run(rows_of(args, activations, begin, end - begin, groups));
    };
    parallel_for(call.m, call.threads, kRowStep, std::cref(multiply));
  }
}

double rounding_bound(const KernelInfo& kernel, const PackedMatrix& weights) {
  if (kernel.activations == Activations::s8 || kernel.activations == Activations::binary)
    return 0.0;  // the families define every rounding: variants agree bit for bit
  // Reference and variant each err by at most gamma(r) = r u / (1 - r u), u = 2^-24, times sum |a w|, whatever the
  // order of summation and with or without fused operations, r being the roundings that a term meets (Higham, Accuracy
  // and Stability of Numerical Algorithms, section 3.1): its product's and at most k - 1 sums', those of w (level times
  // scale, then an offset), or for sums that are scaled later one more for each segment that is summed before another.
  const double error = double(weights.k + 4) * 0x1p-24;
  // Activations and levels that were rounded to bf16 are larger by at most 2^-8 than those that |a w| is made of.
  const double rounded = kernel.activations == Activations::bf16 ? (1 + 0x1p-8) * (1 + 0x1p-8) : 1.0;
  return error < 0.5 ? 2 * error / (1 - error) * rounded : 1.0;
}

}  // namespace qb
