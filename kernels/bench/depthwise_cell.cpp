#include "kernels/bench/depthwise_cell.h"

#include <algorithm>
#include <map>

#include "kernels/bench/choice.h"
#include "kernels/bench/planes.h"
#include "kernels/bench/random_matrix.h"
#include "kernels/depthwise.h"
#include "kernels/panels.h"

namespace qb {

namespace {

/// Input and result of one kernel, one behind the other: what a plain read of as much memory reads.
struct Convolution {
  PreparedMatrix weights;
  Buffer planes;
  std::int64_t y_offset = 0, y_size = 0;  ///< floats
  DepthwiseScratch scratch;

  float* y() { return planes.as<float>() + y_offset; }
};

Convolution convolution_of(const PreparedMatrix& weights, const LayerShape& shape) {
  Convolution one{.weights = weights, .planes = {}, .scratch = {}};
  const Planes& planes = shape.planes;
  const std::int64_t x_size = planes.batch * planes.channels * planes.height * planes.width;
  one.y_offset = round_up(x_size, 16);
  one.y_size = shape.m * shape.n;
  one.planes = Buffer(std::size_t(4 * (one.y_offset + one.y_size)));
  std::ranges::copy(random_planes(planes), one.planes.as<float>());
  return one;
}

void convolve(Convolution& one, const LayerShape& shape, int threads) {
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
  if (one.weights.kernel->activations == Activations::s8) call.scaling = kPlaneScaling;
  call.y = one.y();
  call.threads = threads;
  depthwise(one.weights, call, one.scratch);
}

/// Bytes per second of reading input and result `runs` times; 0 for less than a page per thread.
double read_rate(const Convolution& one, int threads, std::int64_t runs) {
  const std::int64_t size = std::int64_t(one.planes.size()) / (4096 * threads) * 4096 * threads;
  return size == 0 ? 0 : read_rate_now(one.planes.data(), size, threads, runs);
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
  std::map<const KernelInfo*, std::vector<float>> expected;
  for (const PreparedMatrix& prepared : prepare_wanted(Operation::depthwise, weights, wanted, missing)) {
    all.push_back(convolution_of(prepared, shape));
    const KernelInfo& reference = reference_of(*prepared.kernel);
    if (expected.contains(&reference)) continue;
    Convolution right = convolution_of(prepare(reference, weights), shape);
    convolve(right, shape, /*threads=*/1);
    expected[&reference].assign(right.y(), right.y() + right.y_size);
  }
  std::vector<Candidate> candidates;
  for (Convolution& one : all) {
    Candidate candidate{.kernel = one.weights.kernel,
                        .bytes = 4 * (one.y_offset + one.y_size),
                        .arithmetic = arithmetic_of(*one.weights.kernel)};
    candidate.run = [&](int threads) { convolve(one, shape, threads); };
    candidate.result = [&] { return std::as_bytes(std::span(one.y(), std::size_t(one.y_size))); };
    candidate.compare = [&] {
      return compare_exactly(expected.at(&reference_of(*one.weights.kernel)), {one.y(), std::size_t(one.y_size)});
    };
    candidate.read_rate = [&](int threads, std::int64_t runs, std::size_t) { return read_rate(one, threads, runs); };
    candidates.push_back(std::move(candidate));
  }
  return measure_cell(bench, format, shape, options.threads, candidates);
}

}  // namespace qb
