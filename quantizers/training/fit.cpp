#include "quantizers/training/fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/base/parallel.h"
#include "kernels/base/random.h"
#include "quantizers/training/optimizer.h"
#include "quantizers/training/tape.h"

namespace qb {
namespace {

std::vector<std::int64_t> rising(std::int64_t count) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

/// One tape with its own samples and gradients.
struct Shard {
  Tape tape;
  std::vector<float> samples, output_gradient;
  std::vector<std::int32_t> targets;
  TensorMap gradients;
  LossSum loss;

  Shard(const Graph& graph, const TensorMap& parameters)
      : tape(graph, parameters, kShardRows), gradients(zeros_like(parameters)) {}

  /// Copies samples order[0..]; beyond the end the last one stands in.
  void take(const Dataset& data, std::span<const std::int64_t> order) {
    const std::span<const float> all = data.inputs.as<float>();
    const std::size_t width = all.size() / data.targets.size();
    samples.resize(width * kShardRows);
    targets.assign(kShardRows, 0);
    for (std::size_t row = 0; row < kShardRows; ++row) {
      const auto from = std::size_t(order[std::min(row, order.size() - 1)]);
      std::ranges::copy(all.subspan(from * width, width), samples.begin() + std::ptrdiff_t(row * width));
      targets[row] = data.targets[from];
    }
  }

  void learn(const TensorMap& parameters, double scale) {
    for (auto& [name, gradient] : gradients) std::ranges::fill(gradient.as<float>(), 0.0f);
    const Tensor& logits = tape.forward(parameters, samples);
    output_gradient.resize(std::size_t(logits.size()));
    loss = softmax_cross_entropy(logits.as<float>(), targets, scale, output_gradient);
    tape.backward(parameters, output_gradient, gradients);
  }
};

void check_samples(const Graph& graph, const Dataset& data) {
  Shape expected = graph.inputs.at(0).shape;
  expected[0] = data.count();
  if (data.inputs.shape != expected || data.count() == 0)
    throw DataError(fmt::format("{}: samples {} do not fit the graph's input {}", data.name, to_text(data.inputs.shape),
                                to_text(graph.inputs.at(0).shape)));
}

std::vector<Shard> make_shards(const Graph& graph, const TensorMap& parameters, std::int64_t count) {
  std::vector<Shard> shards;
  shards.reserve(std::size_t(count));
  for (std::int64_t i = 0; i < count; ++i) shards.emplace_back(graph, parameters);
  return shards;
}

void add_gradients(const std::vector<Shard>& shards, TensorMap& total) {
  for (auto& [name, tensor] : total) {
    const std::span<float> sum = tensor.as<float>();
    std::ranges::copy(shards[0].gradients.find(name)->second.as<float>(), sum.begin());
    for (std::size_t s = 1; s < shards.size(); ++s) {
      const std::span<const float> more = shards[s].gradients.find(name)->second.as<float>();
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += more[i];
    }
  }
}

}  // namespace

void initialize(TensorMap& parameters, std::uint64_t seed) {
  std::uint64_t stream = 0;
  for (auto& [name, tensor] : parameters) {
    Random random(seed, stream++);
    if (tensor.rank() < 2) {
      std::ranges::fill(tensor.as<float>(), 0.0f);
      continue;
    }
    const double reach = std::sqrt(6.0 / double(tensor.size() / tensor.shape[0]));
    for (float& weight : tensor.as<float>()) weight = float(random.uniform(-reach, reach));
  }
}

void fit(const Graph& graph, TensorMap& parameters, const EpochSource& source, const FitOptions& options,
         const std::function<void(const EpochReport&)>& progress) {
  QB_EXPECTS(options.batch >= kShardRows && options.batch % kShardRows == 0 && options.epochs >= 1);
  std::vector<Shard> shards = make_shards(graph, parameters, options.batch / kShardRows);
  Adam adam(parameters);
  TensorMap gradients = zeros_like(parameters);
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    const Dataset data = source(epoch);
    check_samples(graph, data);
    const std::int64_t steps = data.count() / options.batch;
    if (steps == 0)
      throw DataError(fmt::format("{}: {} samples do not fill a batch of {}", data.name, data.count(), options.batch));
    std::vector<std::int64_t> order = rising(data.count());
    Random random(options.seed, std::uint64_t(epoch));
    shuffle(std::span(order), random);

    LossSum sum;
    for (std::int64_t step = 0; step < steps; ++step) {
      const std::span<const std::int64_t> batch =
          std::span(order).subspan(std::size_t(step * options.batch), std::size_t(options.batch));
      parallel_for(std::ssize(shards), options.threads, /*grain=*/1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t s = begin; s < end; ++s) {
          shards[std::size_t(s)].take(data, batch.subspan(std::size_t(s * kShardRows), std::size_t(kShardRows)));
          shards[std::size_t(s)].learn(parameters, 1.0 / double(options.batch));
        }
      });
      add_gradients(shards, gradients);
      adam.step(parameters, gradients,
                cosine_rate(options.learning_rate, epoch * steps + step, options.epochs * steps));
      for (const Shard& shard : shards) {
        sum.nats += shard.loss.nats;
        sum.correct += shard.loss.correct;
      }
    }
    const auto seen = double(steps * options.batch);
    if (progress) progress({epoch, sum.nats / seen, double(sum.correct) / seen});
  }
}

LossSum evaluate(const Graph& graph, const TensorMap& parameters, const Dataset& samples, int threads) {
  check_samples(graph, samples);
  const std::int64_t count = samples.count(), parts = (count + kShardRows - 1) / kShardRows;
  const std::vector<std::int64_t> order = rising(count);
  std::vector<LossSum> sums(static_cast<std::size_t>(parts));
  std::vector<Shard> shards = make_shards(graph, parameters, std::max(1, threads));
  parallel_for(std::ssize(shards), threads, /*grain=*/1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t s = begin; s < end; ++s) {
      Shard& shard = shards[std::size_t(s)];
      for (std::int64_t part = s; part < parts; part += std::ssize(shards)) {
        const auto rows = std::size_t(std::min(kShardRows, count - part * kShardRows));
        shard.take(samples, std::span(order).subspan(std::size_t(part * kShardRows), rows));
        const std::span<const float> logits = shard.tape.forward(parameters, shard.samples).as<float>();
        const std::size_t classes = logits.size() / kShardRows;
        sums[std::size_t(part)] =
            softmax_cross_entropy(logits.first(rows * classes), std::span(shard.targets).first(rows), 1.0, {});
      }
    }
  });
  LossSum total;
  for (const LossSum& sum : sums) {
    total.nats += sum.nats;
    total.correct += sum.correct;
  }
  return total;
}

}  // namespace qb
