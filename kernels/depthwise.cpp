#include "kernels/depthwise.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "kernels/panels.h"
#include "kernels/quantize_rows/row_quantizer.h"

namespace qb {

namespace {

constexpr std::int64_t kCodesAtOnce = 16 << 10;  ///< bytes of quantized planes that wait in the first-level cache

void check_call(const PreparedMatrix& w, const DepthwiseCall& call) {
  QB_EXPECTS(w.kernel != nullptr && w.kernel->operation == Operation::depthwise && call.threads >= 1);
  QB_EXPECTS(call.batch >= 0 && call.channels >= 1 && call.multiplier >= 1);
  QB_EXPECTS(w.n == call.channels * call.multiplier && w.k == call.kernel[0] * call.kernel[1]);
  for (int axis = 0; axis < 2; ++axis)
    QB_EXPECTS(call.in[axis] >= 1 && call.out[axis] >= 1 && call.kernel[axis] >= 1 && call.stride[axis] >= 1 &&
               call.dilation[axis] >= 1 && call.pad[axis] >= 0);
  QB_EXPECTS(call.batch == 0 || (call.x != nullptr && call.y != nullptr));
  const bool integer = w.kernel->activations == Activations::s8;
  QB_EXPECTS(call.scaling.kind == (integer ? RowScaling::Kind::fixed : RowScaling::Kind::none));
  if (integer) check_scaling(call.scaling);
}

std::int64_t code_stride(const DepthwiseCall& call) { return round_up(call.in[0] * call.in[1], 64); }

/// Channels of the input that are done in one call of a kernel.
std::int64_t planes_at_once(const PreparedMatrix& w, const DepthwiseCall& call) {
  if (w.kernel->activations == Activations::f32) return call.channels;
  return std::max<std::int64_t>(1, kCodesAtOnce / code_stride(call));
}

DepthwiseArgs args_of(const PreparedMatrix& w, const DepthwiseCall& call) {
  DepthwiseArgs args{};
  args.multiplier = call.multiplier;
  for (int axis = 0; axis < 2; ++axis) {
    args.in[axis] = call.in[axis];
    args.out[axis] = call.out[axis];
    args.kernel[axis] = call.kernel[axis];
    args.stride[axis] = call.stride[axis];
    args.dilation[axis] = call.dilation[axis];
    args.pad[axis] = call.pad[axis];
  }
  args.x_scale = call.scaling.scale;
  args.x_zero = call.scaling.zero;
  args.w = w.bytes.data();
  args.bias = call.bias;
  return args;
}

/// Codes of `planes` planes from `x` on.
void quantize_planes(const PreparedMatrix& w, const DepthwiseCall& call, float scale, const float* x,
                     std::int64_t planes, std::int8_t* codes) {
  const RowQuantizer with = row_quantizer(w.kernel->needs);
  const CodeRange range = code_range(call.scaling);
  const std::int64_t plane = call.in[0] * call.in[1], stride = code_stride(call);
  for (std::int64_t p = 0; p < planes; ++p)
    with.quantize({x + p * plane, codes + p * stride, plane, stride, scale, call.scaling.zero, range.low, range.high});
}

/// Channels [begin, end) of the input of one sample.
void convolve_channels(const PreparedMatrix& w, const DepthwiseCall& call, std::int64_t sample, std::int64_t begin,
                       std::int64_t end, DepthwiseScratch::Worker& worker) {
  DepthwiseArgs args = args_of(w, call);
  const std::int64_t plane = call.in[0] * call.in[1];
  const float* x = call.x + (sample * call.channels + begin) * plane;
  args.channel_begin = begin * call.multiplier;
  args.channel_end = end * call.multiplier;
  args.y = call.y + sample * call.channels * call.multiplier * call.out[0] * call.out[1];
  args.x = x;
  args.x_stride = plane;
  if (w.kernel->activations == Activations::s8) {
    if (call.sample_scale) args.x_scale = call.sample_scale[sample];
    quantize_planes(w, call, args.x_scale, x, end - begin, worker.codes.data());
    args.x = worker.codes.data();
    args.x_stride = code_stride(call);
    args.scratch = worker.plane.data();
  }
  w.kernel->depthwise(args);
}

}  // namespace

std::int64_t DepthwiseScratch::bytes() const {
  std::int64_t bytes = 0;
  for (const Worker& worker : workers) bytes += std::int64_t(worker.codes.capacity() + 4 * worker.plane.capacity());
  return bytes;
}

void depthwise(const PreparedMatrix& w, const DepthwiseCall& call, DepthwiseScratch& scratch) {
  check_call(w, call);
  const std::int64_t all = call.batch * call.channels, at_once = planes_at_once(w, call);
  const std::int64_t workers = std::min<std::int64_t>(call.threads, all);
  if (std::ssize(scratch.workers) < workers) scratch.workers.resize(std::size_t(workers));
  if (w.kernel->activations == Activations::s8)
    for (DepthwiseScratch::Worker& worker : scratch.workers) {
      worker.codes.resize(std::max(worker.codes.size(), std::size_t(at_once * code_stride(call) + 64)));
      worker.plane.resize(std::max(worker.plane.size(), std::size_t(round_up(call.in[0] * call.in[1], 16))));
    }
  const auto part = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t worker = first; worker < last; ++worker) {
      const std::int64_t end = all * (worker + 1) / workers;
      for (std::int64_t at = all * worker / workers; at < end;) {
        const std::int64_t sample = at / call.channels, begin = at % call.channels;
        const std::int64_t count = std::min({at_once, call.channels - begin, end - at});
        convolve_channels(w, call, sample, begin, begin + count, scratch.workers[std::size_t(worker)]);
        at += count;
      }
    }
  };
  // By reference: a std::function that owned the loop would allocate, and a timed call allocates nothing.
  parallel_for(workers, int(std::max<std::int64_t>(workers, 1)), 1, std::cref(part));
}

}  // namespace qb
