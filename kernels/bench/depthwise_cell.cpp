#include "kernels/bench/depthwise_cell.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "kernels/base/error.h"
#include "kernels/bench/choice.h"
#include "kernels/bench/onednn_convolution.h"
#include "kernels/bench/planes.h"
#include "kernels/bench/random_matrix.h"
#include "kernels/depthwise.h"
#include "kernels/panels.h"

namespace qb {

namespace {

/// Input and result of one kernel, one behind the other: what a plain read of as much memory reads.
struct Convolution {
  const KernelInfo* kernel = nullptr;
  PreparedMatrix weights;                      ///< of ours
  std::unique_ptr<OnednnCell> peer = nullptr;  ///< or oneDNN
  Buffer planes;
  std::int64_t y_offset = 0, y_size = 0;  ///< floats
  DepthwiseScratch scratch;

  float* y() { return planes.as<float>() + y_offset; }
  std::vector<float> result() { return {y(), y() + y_size}; }
};

Convolution convolution_of(const KernelInfo& kernel, const LayerShape& shape) {
  Convolution one{.kernel = &kernel, .weights = {}, .planes = {}, .scratch = {}};
  const Planes& planes = shape.planes;
  const std::int64_t x_size = planes.batch * planes.channels * planes.height * planes.width;
  one.y_offset = round_up(x_size, 16);
  one.y_size = shape.m * shape.n;
  one.planes = Buffer(std::size_t(4 * (one.y_offset + one.y_size)));
  std::ranges::copy(random_planes(planes), one.planes.as<float>());
  return one;
}

Convolution our_convolution(const PreparedMatrix& weights, const LayerShape& shape) {
  Convolution one = convolution_of(*weights.kernel, shape);
  one.weights = weights;
  return one;
}

void convolve(Convolution& one, const LayerShape& shape, int threads) {
  if (one.peer) return one.peer->run(threads, one.y());
  const Planes& planes = shape.planes;
  DepthwiseCall call;
  call.batch = planes.batch;
  call.channels = planes.channels;
  const std::int64_t in[2] = {planes.height, planes.width}, out[2] = {planes.out_height(), planes.out_width()};
  for (int axis = 0; axis < 2; ++axis) {
    call.in[axis] = in[axis];
    call.out[axis] = out[axis];
    call.kernel[axis] = planes.kernel;
    call.stride[axis] = planes.stride;
    call.pad[axis] = planes.pad;
  }
  call.x = one.planes.as<float>();
  if (one.kernel->activations == Activations::s8) call.scaling = kPlaneScaling;
  call.y = one.y();
  call.threads = threads;
  depthwise(one.weights, call, one.scratch);
}

/// Bytes per second of reading input and result `runs` times; 0 for less than a page per thread.
double read_rate(const Convolution& one, int threads, std::int64_t runs) {
  const std::int64_t size = std::int64_t(one.planes.size()) / (4096 * threads) * 4096 * threads;
  return size == 0 ? 0 : read_rate_now(one.planes.data(), size, threads, runs);
}

/// What the reference gives, and the sums of |x w| of the same results: x is not negative.
struct Expected {
  std::vector<float> values, magnitudes;
};

PackedMatrix magnitudes_of(const PackedMatrix& weights) {
  std::vector<float> values = dequantize(weights);
  for (float& value : values) value = std::abs(value);
  return pack_f32({values.data(), weights.n, weights.k, weights.k});
}

Expected expected_of(Activations activations, const PackedMatrix& weights, const LayerShape& shape) {
  const auto by_reference = [&](Activations with, const PackedMatrix& w) {
    const KernelInfo* reference =
        choose_kernel("reference", with, w.format, w.k, /*rows=*/1, host_isa(), Operation::depthwise);
    QB_EXPECTS(reference != nullptr);
    Convolution one = our_convolution(prepare(*reference, w), shape);
    convolve(one, shape, /*threads=*/1);
    return one.result();
  };
  return {by_reference(activations, weights), by_reference(Activations::f32, magnitudes_of(weights))};
}

/// Ours promise the bits of the reference; a peer that adds floats in another order keeps the bound.
Comparison compare_with(const Expected& expected, const PackedMatrix& weights, Convolution& one) {
  const std::span<const float> got(one.y(), std::size_t(one.y_size));
  if (!one.kernel->peer) return compare_exactly(expected.values, got);
  return compare_within(rounding_bound(*one.kernel, weights), expected.magnitudes, expected.values, got);
}

/// oneDNN's, where it has one and it is wanted.
void add_peer(const Options& options, const PackedMatrix& weights, const LayerShape& shape,
              std::vector<Convolution>& all, std::vector<std::string>& missing) {
  const KernelInfo* peer = onednn_convolution_for(shape.work, weights.format);
  if (peer == nullptr || !includes(host_isa(), peer->needs)) return;
  if (!is_wanted(*peer, options.kernels, weights.format, shape.k, shape.m)) return;
  Convolution one = convolution_of(*peer, shape);
  one.peer = std::make_unique<OnednnCell>(shape, weights, *peer, one.planes.as<float>());
  try {
    convolve(one, shape, /*threads=*/1);  // what it cannot do it says now
    all.push_back(std::move(one));
  } catch (const Unsupported& error) {
    missing.push_back(fmt::format("{} on {}: {}", peer->name, to_text(weights.format), error.what()));
  }
}

}  // namespace

std::vector<TableRow> measure_depthwise(const Bench& bench, const Options& options, const QuantFormat& format,
                                        const LayerShape& shape, std::vector<std::string>& missing) {
  const PackedMatrix weights = random_weights(format, shape.n, shape.k, /*seed=*/1);
  const std::int64_t positions = shape.planes.out_height() * shape.planes.out_width();
  const auto wanted = [&](const KernelInfo& kernel) {
    const bool long_reference = kernel.reference && shape.m * shape.n * shape.k > kReferenceProducts;
    return !long_reference && is_wanted(kernel, options.kernels, format, shape.k, positions);
  };
  std::vector<Convolution> all;
  for (const PreparedMatrix& prepared : prepare_wanted(Operation::depthwise, weights, wanted, missing))
    all.push_back(our_convolution(prepared, shape));
  add_peer(options, weights, shape, all, missing);
  std::map<Activations, Expected> expected;
  for (const Convolution& one : all)
    if (!expected.contains(one.kernel->activations))
      expected[one.kernel->activations] = expected_of(one.kernel->activations, weights, shape);
  std::vector<Candidate> candidates;
  for (Convolution& one : all) {
    Candidate candidate{
        .kernel = one.kernel, .bytes = 4 * (one.y_offset + one.y_size), .arithmetic = arithmetic_of(*one.kernel)};
    candidate.run = [&](int threads) { convolve(one, shape, threads); };
    candidate.result = [&] { return std::as_bytes(std::span(one.y(), std::size_t(one.y_size))); };
    candidate.compare = [&] { return compare_with(expected.at(one.kernel->activations), weights, one); };
    candidate.read_rate = [&](int threads, std::int64_t runs, std::size_t) { return read_rate(one, threads, runs); };
    candidates.push_back(std::move(candidate));
  }
  return measure_cell(bench, {format}, shape, options.threads, candidates);
}

}  // namespace qb
