#include "quantizers/layer_inputs.h"

#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "quantizers/sample_runs.h"

namespace qb {
namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Rows = Eigen::Map<const RowMajor, 0, Eigen::OuterStride<>>;
using DoubleRows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

void mirror(std::vector<double>& moments, std::int64_t k) {
  for (std::int64_t i = 0; i < k; ++i)
    for (std::int64_t j = 0; j < i; ++j) moments[std::size_t(i * k + j)] = moments[std::size_t(j * k + i)];
}

/// The inputs that one window of a plane sees, zeros in the padding.
void gather_window(const DepthwiseCall& call, const float* plane, std::int64_t oy, std::int64_t ox, float* window) {
  for (std::int64_t ky = 0; ky < call.kernel[0]; ++ky)
    for (std::int64_t kx = 0; kx < call.kernel[1]; ++kx) {
      const std::int64_t iy = oy * call.stride[0] - call.pad[0] + ky * call.dilation[0];
      const std::int64_t ix = ox * call.stride[1] - call.pad[1] + kx * call.dilation[1];
      const bool inside = iy >= 0 && iy < call.in[0] && ix >= 0 && ix < call.in[1];
      *window++ = inside ? plane[iy * call.in[1] + ix] : 0.0f;
    }
}

void check_moments(const MatrixWeight& layer, const LayerInputs& inputs, const Model& model) {
  for (const std::vector<double>& moments : inputs.moments)
    for (std::int64_t i = 0; i < layer.k; ++i)
      if (!std::isfinite(moments[std::size_t(i * layer.k + i)]))
        throw DataError(
            fmt::format("node '{}': some of its inputs are not finite, or too large to square, on the "
                        "calibration samples",
                        model.graph.nodes[layer.node].name));
}

std::int64_t moment_bytes(const MatrixWeight& layer) { return 8 * layer.groups * layer.k * layer.k; }

/// The first layer that does not join those from `begin` on in one pass over the samples.
std::size_t end_of_pass(std::span<const MatrixWeight> layers, std::size_t begin) {
  constexpr std::int64_t kPassBytes = std::int64_t(1) << 30;
  std::int64_t bytes = moment_bytes(layers[begin]);
  std::size_t end = begin + 1;
  while (end < layers.size() && bytes + moment_bytes(layers[end]) <= kPassBytes) bytes += moment_bytes(layers[end++]);
  return end;
}

}  // namespace

InputRows rows_of(const MatrixWeight& layer, const GemmEvent& event) {
  return {event.row_begin / (layer.n / layer.groups), event.call->m, event.call->a, event.call->a_stride};
}

void for_each_rows(const DepthwiseEvent& event, const std::function<void(const InputRows& rows)>& visit) {
  const DepthwiseCall& call = *event.call;
  const std::int64_t k = call.kernel[0] * call.kernel[1], positions = call.out[0] * call.out[1];
  std::vector<float> rows(std::size_t(positions * k));
  for (std::int64_t sample = 0; sample < call.batch; ++sample)
    for (std::int64_t channel = 0; channel < call.channels; ++channel) {
      const float* plane = call.x + (sample * call.channels + channel) * call.in[0] * call.in[1];
      for (std::int64_t p = 0; p < positions; ++p)
        gather_window(call, plane, p / call.out[1], p % call.out[1], rows.data() + p * k);
      visit({channel, positions, rows.data(), k});
    }
}

void RowBlocks::add(InputRows rows, const Take& take) {
  while (rows.count > 0) {
    const std::int64_t count = std::min(kRows - waiting_count_, rows.count);
    if (count == kRows) {
      take({rows.group, kRows, rows.values, rows.stride});
    } else {
      for (std::int64_t r = 0; r < count; ++r)
        waiting_.insert(waiting_.end(), rows.values + r * rows.stride, rows.values + r * rows.stride + width_);
      waiting_count_ += count;
      if (waiting_count_ == kRows) finish(take);
    }
    rows.values += count * rows.stride;
    rows.count -= count;
  }
}

void RowBlocks::finish(const Take& take) {
  if (waiting_count_ > 0) take({0, waiting_count_, waiting_.data(), width_});
  waiting_count_ = 0;
  waiting_.clear();
}

void add_products(const InputRows& x, const InputRows& y, std::int64_t k, bool upper, int threads,
                  std::span<double> products) {
  QB_EXPECTS(x.count == y.count);
  const Rows left(x.values, x.count, k, Eigen::OuterStride<>(x.stride));
  const Rows right(y.values, y.count, k, Eigen::OuterStride<>(y.stride));
  Eigen::Map<DoubleRows> sums(products.data(), k, k);
  constexpr std::int64_t kColumns = 128, kWorthThreads = std::int64_t(1) << 26;
  if (x.count * k * k < kWorthThreads) threads = 1;
  // Parts of equal work would be unequal in size where there is only a triangle: its later rows are shorter.
  parallel_for((k + kColumns - 1) / kColumns, threads, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t at = first * kColumns; at < std::min(last * kColumns, k); at += kColumns) {
      const std::int64_t width = std::min(kColumns, k - at), from = upper ? at : 0;
      const RowMajor product = left.middleCols(at, width).transpose() * right.rightCols(k - from);
      sums.block(at, from, width, k - from) += product.cast<double>();
    }
  });
}

void add_sums(const InputRows& x, std::int64_t k, std::span<double> sums) {
  const Rows rows(x.values, x.count, k, Eigen::OuterStride<>(x.stride));
  Eigen::Map<Eigen::Matrix<double, 1, Eigen::Dynamic>>(sums.data(), k) += rows.cast<double>().colwise().sum();
}

InputSums::InputSums(const MatrixWeight& layer, int threads) : layer_(layer), threads_(threads) {
  const auto groups = std::size_t(layer.groups), k = std::size_t(layer.k);
  inputs_.moments.assign(groups, std::vector<double>(k * k));
  inputs_.sums.assign(groups, std::vector<double>(k));
  blocks_.assign(groups, RowBlocks(layer.k));
}

void InputSums::add(const InputRows& rows) {
  const auto group = std::size_t(rows.group);
  blocks_[group].add(rows, [&](const InputRows& block) { add_block(block, group); });
  if (rows.group == 0) inputs_.rows += rows.count;
}

void InputSums::add_block(const InputRows& block, std::size_t group) {
  add_products(block, block, layer_.k, /*upper=*/true, threads_, inputs_.moments[group]);
  add_sums(block, layer_.k, inputs_.sums[group]);
}

LayerInputs InputSums::finish(const Model& model) {
  for (std::size_t group = 0; group < blocks_.size(); ++group) {
    blocks_[group].finish([&](const InputRows& block) { add_block(block, group); });
    mirror(inputs_.moments[group], layer_.k);
  }
  check_moments(layer_, inputs_, model);
  return std::move(inputs_);
}

void visit_inputs(const Model& model, std::span<const MatrixWeight> layers, const Tensor& samples, int threads,
                  const std::function<void(std::string_view)>& progress,
                  const std::function<void(std::size_t layer, const LayerInputs& inputs)>& visit) {
  for (std::size_t begin = 0, end; begin < layers.size(); begin = end) {
    end = end_of_pass(layers, begin);
    if (progress) progress(fmt::format("watching the inputs of layers {} to {} of {}", begin + 1, end, layers.size()));
    const std::vector<LayerInputs> inputs = observe_inputs(model, layers.subspan(begin, end - begin), samples, threads);
    for (std::size_t i = begin; i < end; ++i) visit(i, inputs[i - begin]);
  }
}

std::vector<LayerInputs> observe_inputs(const Model& model, std::span<const MatrixWeight> layers, const Tensor& samples,
                                        int threads) {
  std::vector<InputSums> sums;
  for (const MatrixWeight& layer : layers) sums.emplace_back(layer, threads);
  run_samples(model, samples, threads, [&](const Executor& executor) {
    const auto watched = [&layers, &executor](std::size_t layer) {
      const std::size_t node = executor.layers()[layer].where.node;
      return std::size_t(std::ranges::find(layers, node, &MatrixWeight::node) - layers.begin());
    };
    ExecutorObserver observer;
    observer.product = [&, watched](const GemmEvent& event) {
      const std::size_t i = watched(event.layer);
      if (i != layers.size()) sums[i].add(rows_of(layers[i], event));
    };
    observer.depthwise = [&, watched](const DepthwiseEvent& event) {
      const std::size_t i = watched(event.layer);
      if (i != layers.size()) for_each_rows(event, [&](const InputRows& rows) { sums[i].add(rows); });
    };
    return observer;
  });
  std::vector<LayerInputs> seen;
  for (InputSums& one : sums) seen.push_back(one.finish(model));
  return seen;
}

std::vector<double> mean_change(const LayerInputs& inputs, std::span<const float> weights,
                                std::span<const float> others, std::int64_t n, std::int64_t k) {
  const std::int64_t rows_per_group = n / std::ssize(inputs.sums);
  std::vector<double> change(std::size_t(n), 0.0);
  for (std::int64_t j = 0; j < n; ++j) {
    const std::vector<double>& sums = inputs.sums[std::size_t(j / rows_per_group)];
    for (std::int64_t t = 0; t < k; ++t)
      change[std::size_t(j)] +=
          (double(weights[std::size_t(j * k + t)]) - double(others[std::size_t(j * k + t)])) * sums[std::size_t(t)];
    change[std::size_t(j)] /= double(std::max<std::int64_t>(inputs.rows, 1));
  }
  return change;
}

double mean_square_change(const LayerInputs& inputs, std::span<const float> weights, std::span<const float> others,
                          std::int64_t n, std::int64_t k) {
  using Row = Eigen::Matrix<double, 1, Eigen::Dynamic>;
  using Moments = Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
  const std::int64_t rows_per_group = n / std::ssize(inputs.moments);
  double sum = 0;
  for (std::int64_t j = 0; j < n; ++j) {
    const std::size_t at = std::size_t(j * k);
    const Row change = (Eigen::Map<const Eigen::Matrix<float, 1, Eigen::Dynamic>>(weights.data() + at, k) -
                        Eigen::Map<const Eigen::Matrix<float, 1, Eigen::Dynamic>>(others.data() + at, k))
                           .cast<double>();
    const Moments moments(inputs.moments[std::size_t(j / rows_per_group)].data(), k, k);
    sum += (change * moments * change.transpose()).value();
  }
  return inputs.rows == 0 ? 0 : sum / double(n * inputs.rows);
}

}  // namespace qb
