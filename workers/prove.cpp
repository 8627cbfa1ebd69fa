#include "workers/prove.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "kernels/base/error.h"
#include "kernels/convolution/weight_order.h"
#include "kernels/depthwise.h"
#include "kernels/gemm.h"

namespace qb {

namespace {

/// The real value that a float kernel reads, or that the integer code of `a` stands for (kernels/gemm.h, RowScaling).
double real_value(float a, const RowScaling& scaling, float scale) {
  if (scaling.kind == RowScaling::Kind::none) return a;
  const std::int32_t zero = scaling.kind == RowScaling::Kind::fixed ? scaling.zero : 0;
  const std::int32_t high = (1 << (scaling.bits - 1)) - 1, low = zero == 0 ? -high : -high - 1;
  const double code = std::clamp(std::nearbyint(double(a) / double(scale)) + zero, double(low), double(high));
  return double(scale) * (code - zero);
}

/// Of `k` columns that share a scale.
float scale_of(const float* a, std::int64_t k, const RowScaling& scaling) {
  if (scaling.kind != RowScaling::Kind::dynamic_rows) return scaling.scale;
  float largest = 0;
  for (std::int64_t t = 0; t < k; ++t) largest = std::max(largest, std::abs(a[t]));
  const float scale = largest / float((1 << (scaling.bits - 1)) - 1);
  return scale > 0 && std::isfinite(scale) ? scale : 1.0f;
}

/// Codes of a row that is quantized already, as real values.
void real_values(const std::int8_t* codes, const RowScaling& scaling, std::vector<double>& values) {
  for (std::size_t t = 0; t < values.size(); ++t)
    values[t] = double(scaling.scale) * (double(codes[t]) - double(scaling.zero));
}

/// What the proof keeps of one layer: its reference and the real weights, in the order that its kernel sees.
struct Witness {
  PreparedMatrix reference;
  std::vector<float> weights;  ///< [n, k]
};

class Prover {
 public:
  explicit Prover(Executor& executor)
      : executor_(executor), witnesses_(executor.layers().size()), proofs_(executor.layers().size()) {
    for (std::size_t i = 0; i < proofs_.size(); ++i)
      proofs_[i].bound = rounding_bound(*executor.layers()[i].kernel, *executor.layers()[i].packed);
  }

  /// Checks one product. With a grouped convolution only the rows of that group are compared.
  void check(const GemmEvent& event) {
    const ExecutorLayer& layer = executor_.layers()[event.layer];
    operations_ += 2.0 * double(event.call->m) * double(event.row_count) * double(layer.where.k);
    if (layer.kernel->reference || event.call->m == 0) return;
    const Witness& witness = witness_of(event.layer);
    GemmCall again = *event.call;
    wanted_.resize(std::size_t(again.m * layer.where.n));
    again.y = wanted_.data();
    again.y_stride = layer.where.n;
    again.threads = 1;
    gemm(witness.reference, again, scratch_);
    const double error = product_error({event.call, event.row_count, layer.where.k, wanted_.data() + event.row_begin,
                                        layer.where.n, witness.weights.data() + event.row_begin * layer.where.k});
    proofs_[event.layer].error = std::max(proofs_[event.layer].error, error);
  }

  /// Checks one depthwise convolution.
  void check(const DepthwiseEvent& event) {
    const ExecutorLayer& layer = executor_.layers()[event.layer];
    const DepthwiseCall& call = *event.call;
    const std::int64_t results = call.batch * layer.where.n * call.out[0] * call.out[1];
    operations_ += 2.0 * double(results) * double(layer.where.k);
    if (layer.kernel->reference || results == 0) return;
    const Witness& witness = witness_of(event.layer);
    DepthwiseCall again = call;
    wanted_.resize(std::size_t(results));
    again.y = wanted_.data();
    again.threads = 1;
    depthwise(witness.reference, again, depthwise_scratch_);
    const double error = depthwise_error(call, wanted_.data(), witness.weights.data());
    proofs_[event.layer].error = std::max(proofs_[event.layer].error, error);
  }

  std::vector<LayerProof> proofs() const { return proofs_; }
  double operations() const { return operations_; }

 private:
  const Witness& witness_of(std::size_t index) {
    std::unique_ptr<Witness>& witness = witnesses_[index];
    if (!witness) {
      const ExecutorLayer& layer = executor_.layers()[index];
      const PackedMatrix seen =
          layer.channels_last > 0 ? channels_last(*layer.packed, layer.channels_last) : *layer.packed;
      witness = std::make_unique<Witness>(Witness{prepare(reference_of(*layer.kernel), seen), dequantize(seen)});
    }
    return *witness;
  }

  Executor& executor_;
  std::vector<std::unique_ptr<Witness>> witnesses_;
  std::vector<LayerProof> proofs_;
  std::vector<float> wanted_;
  GemmScratch scratch_;
  DepthwiseScratch depthwise_scratch_;
  double operations_ = 0;
};

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

std::string judge_layers(const Executor& executor, Proof& proof) {
  double worst = -1;
  std::string failed;
  for (std::size_t i = 0; i < proof.layers.size(); ++i) {
    const LayerProof& layer = proof.layers[i];
    const double ratio = layer.error == 0 ? 0 : layer.error / layer.bound;  // over a bound of 0: infinite
    if (ratio > worst) {
      worst = ratio;
      proof.worst = i;
    }
  }
  if (worst > 1) {
    const ExecutorLayer& layer = executor.layers()[proof.worst];
    const LayerProof& found = proof.layers[proof.worst];
    failed =
        fmt::format("node '{}': kernel {} differs from {} by {:.3g} of sum |a||w|, but rounding explains {:.3g}",
                    layer.node_name, layer.kernel->name, reference_of(*layer.kernel).name, found.error, found.bound);
  }
  return failed;
}

/// Outputs [samples, ...] that carry no information about the samples say nothing about a kernel either.
std::string judge_outputs(std::span<const float> outputs, std::int64_t samples) {
  const std::size_t each = outputs.size() / std::size_t(samples);
  const auto zeros = std::count(outputs.begin(), outputs.end(), 0.0f);
  if (double(zeros) > 0.99 * double(outputs.size()))
    return fmt::format("{} of {} output values are zero, which proves nothing", zeros, outputs.size());
  for (std::int64_t i = 1; i < samples; ++i)
    if (!same_bits(outputs.first(each), outputs.subspan(std::size_t(i) * each, each))) return {};
  return samples < 2 ? std::string()
                     : fmt::format("the output is the same for {} different samples, which proves nothing", samples);
}

}  // namespace

double product_error(const ProductCheck& check) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  const GemmCall& call = *check.call;
  std::vector<double> magnitudes(std::size_t(check.k));
  double worst = 0;
  for (std::int64_t i = 0; i < call.m; ++i) {
    if (call.codes) {
      real_values(call.codes + i * call.a_stride, call.scaling, magnitudes);
    } else {
      const float* a = call.a + i * call.a_stride;
      const std::int64_t group = call.scaling.group > 0 ? call.scaling.group : check.k;
      for (std::int64_t begin = 0; begin < check.k; begin += group) {
        const std::int64_t end = std::min(begin + group, check.k);
        const float scale = scale_of(a + begin, end - begin, call.scaling);
        for (std::int64_t t = begin; t < end; ++t) magnitudes[std::size_t(t)] = real_value(a[t], call.scaling, scale);
      }
    }
    for (double& magnitude : magnitudes) magnitude = std::abs(magnitude);
    for (std::int64_t j = 0; j < check.n; ++j) {
      const double wanted = check.wanted[i * check.wanted_stride + j], got = call.y[i * call.y_stride + j];
      if (std::isfinite(wanted) != std::isfinite(got)) return kInfinite;
      const double difference = std::abs(got - wanted);
      // |wanted| is at most the sum, up to rounding: an element that cannot be the worst is not summed.
      if (!std::isfinite(wanted) || difference == 0 || difference < 0.9 * worst * std::abs(wanted)) continue;
      const float* w = check.weights + j * check.k;
      double sum = 0;
      for (std::int64_t t = 0; t < check.k; ++t) sum += magnitudes[std::size_t(t)] * std::abs(double(w[t]));
      worst = std::max(worst, sum > 0 ? difference / sum : kInfinite);
    }
  }
  return worst;
}

namespace {

/// Sum of |x w| over the window of one result, plane of the result and of the input given, and the bias.
double window_magnitude(const DepthwiseCall& call, const float* x, float scale, const float* w, std::int64_t oy,
                        std::int64_t ox) {
  double sum = 0;
  for (std::int64_t ky = 0; ky < call.kernel[0]; ++ky)
    for (std::int64_t kx = 0; kx < call.kernel[1]; ++kx) {
      const std::int64_t iy = oy * call.stride[0] - call.pad[0] + ky * call.dilation[0];
      const std::int64_t ix = ox * call.stride[1] - call.pad[1] + kx * call.dilation[1];
      if (iy < 0 || iy >= call.in[0] || ix < 0 || ix >= call.in[1]) continue;
      sum += std::abs(real_value(x[iy * call.in[1] + ix], call.scaling, scale) * double(w[ky * call.kernel[1] + kx]));
    }
  return sum;
}

}  // namespace

double depthwise_error(const DepthwiseCall& call, const float* wanted, const float* weights) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  const std::int64_t channels = call.channels * call.multiplier, positions = call.out[0] * call.out[1],
                     area = call.kernel[0] * call.kernel[1];
  double worst = 0;
  for (std::int64_t at = 0; at < call.batch * channels * positions; ++at) {
    const double right = wanted[at], got = call.y[at];
    if (std::isfinite(right) != std::isfinite(got)) return kInfinite;
    if (!std::isfinite(right) || right == got) continue;
    const std::int64_t plane = at / positions, sample = plane / channels, channel = plane % channels;
    const float scale = call.sample_scale ? call.sample_scale[sample] : call.scaling.scale;
    const double sum =
        window_magnitude(call, call.x + plane / call.multiplier * call.in[0] * call.in[1], scale,
                         weights + channel * area, at % positions / call.out[1], at % positions % call.out[1]);
    worst = std::max(worst, sum > 0 ? std::abs(got - right) / sum : kInfinite);
  }
  return worst;
}

Proof prove(Executor& executor, const Model& model, const ExecutorOptions& options, const Dataset& data) {
  const std::int64_t batch = options.batch;
  const std::int64_t runs = std::max<std::int64_t>(1, (std::min(kProofSamples, data.count()) + batch - 1) / batch);
  Prover prover(executor);
  executor.observe({.product = [&](const GemmEvent& event) { prover.check(event); },
                    .depthwise = [&](const DepthwiseEvent& event) { prover.check(event); }});
  Proof proof;
  std::vector<float> outputs;
  for (std::int64_t run = 0; run < runs; ++run) {
    const std::span<const float> output = executor.run(batch_of(data, run * batch, batch)).as<float>();
    outputs.insert(outputs.end(), output.begin(), output.end());
    if (run == 0) proof.operations = prover.operations();
    if (run == 0) proof.first_output.assign(output.begin(), output.end());
  }
  executor.observe({});
  proof.layers = prover.proofs();
  proof.failed = judge_layers(executor, proof);
  if (proof.failed.empty()) proof.mistrusted = judge_outputs(outputs, std::min(runs * batch, data.count()));

  const Tensor first = batch_of(data, 0, batch);
  proof.repeatable = same_bits(executor.run(first).as<float>(), proof.first_output) &&
                     same_bits(executor.run(first).as<float>(), proof.first_output);
  if (options.threads > 1) {
    ExecutorOptions alone = options;
    alone.threads = 1;
    Executor single(model, alone);
    proof.repeatable = proof.repeatable && same_bits(single.run(first).as<float>(), proof.first_output);
  }
  if (proof.failed.empty() && !proof.repeatable)
    proof.failed = options.threads > 1
                       ? fmt::format("the same input gives other bits when run again or at 1 instead of {} threads",
                                     options.threads)
                       : "the same input gives other bits when run again";
  return proof;
}

}  // namespace qb
