#include "workers/prove.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "kernels/base/error.h"
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

float scale_of_row(const float* a, std::int64_t k, const RowScaling& scaling) {
  if (scaling.kind != RowScaling::Kind::dynamic_rows) return scaling.scale;
  float largest = 0;
  for (std::int64_t t = 0; t < k; ++t) largest = std::max(largest, std::abs(a[t]));
  const float scale = largest / float((1 << (scaling.bits - 1)) - 1);
  return scale > 0 && std::isfinite(scale) ? scale : 1.0f;
}

/// What the proof keeps of one layer: its reference and the real weights.
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

  std::vector<LayerProof> proofs() const { return proofs_; }
  double operations() const { return operations_; }

 private:
  const Witness& witness_of(std::size_t index) {
    std::unique_ptr<Witness>& witness = witnesses_[index];
    if (!witness) {
      const ExecutorLayer& layer = executor_.layers()[index];
      witness = std::make_unique<Witness>(
          Witness{prepare(reference_of(*layer.kernel), *layer.packed), dequantize(*layer.packed)});
    }
    return *witness;
  }

  Executor& executor_;
  std::vector<std::unique_ptr<Witness>> witnesses_;
  std::vector<LayerProof> proofs_;
  std::vector<float> wanted_;
  GemmScratch scratch_;
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
    const float* a = call.a + i * call.a_stride;
    const float scale = scale_of_row(a, check.k, call.scaling);
    for (std::int64_t t = 0; t < check.k; ++t)
      magnitudes[std::size_t(t)] = std::abs(real_value(a[t], call.scaling, scale));
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

Proof prove(Executor& executor, const Model& model, const ExecutorOptions& options, const Dataset& data) {
  const std::int64_t batch = options.batch;
  const std::int64_t runs = std::max<std::int64_t>(1, (std::min(kProofSamples, data.count()) + batch - 1) / batch);
  Prover prover(executor);
  executor.observe({{}, {}, [&](const GemmEvent& event) { prover.check(event); }});
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
