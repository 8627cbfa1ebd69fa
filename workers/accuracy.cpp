#include "workers/accuracy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "kernels/base/error.h"

namespace qb {

namespace {

constexpr std::int64_t kLayerSamples = 16;  ///< at most so many samples are kept per layer, one batch at least

/// The float outputs of every weighted node during the runs that it watches.
class NodeOutputs {
 public:
  explicit NodeOutputs(Executor& executor) : executor_(executor) {
    for (const ExecutorLayer& layer : executor.layers()) outputs_[layer.node_name];
    executor.observe({{}, [this](const NodeEvent& event) { keep(event); }, {}});
  }
  ~NodeOutputs() { executor_.observe({}); }
  NodeOutputs(const NodeOutputs&) = delete;
  NodeOutputs& operator=(const NodeOutputs&) = delete;

  const std::map<std::string, std::vector<float>, std::less<>>& outputs() const { return outputs_; }

 private:
  void keep(const NodeEvent& event) {
    const auto found = outputs_.find(event.what->name);
    if (found == outputs_.end() || event.outputs.empty() || !event.outputs[0] || event.outputs[0]->dtype != DType::f32)
      return;
    const std::span<const float> values = event.outputs[0]->as<float>();
    found->second.insert(found->second.end(), values.begin(), values.end());
  }

  Executor& executor_;
  std::map<std::string, std::vector<float>, std::less<>> outputs_;
};

void judge_item(std::span<const float> wanted, std::span<const float> got, std::int32_t target, ScoreKind kind,
                ItemColumns& items) {
  const ItemScore before = score_item(wanted, target, kind), after = score_item(got, target, kind);
  items.float_top1.push_back(before.top1);
  items.top1.push_back(after.top1);
  items.target.push_back(target);
  items.float_hit5.push_back(before.hit5);
  items.hit5.push_back(after.hit5);
  const auto bounded = [](double log_likelihood) { return std::clamp(log_likelihood, kLowestLogLikelihood, 0.0); };
  items.float_log_likelihood.push_back(bounded(before.log_likelihood));
  items.log_likelihood.push_back(bounded(after.log_likelihood));
  const double kl = kl_divergence(log_probabilities(wanted, kind), log_probabilities(got, kind));
  items.kl.push_back(std::clamp(kl, 0.0, -kLowestLogLikelihood));
}

bool all_finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); });
}

}  // namespace

void Similarity::add(std::span<const float> wanted, std::span<const float> got) {
  QB_EXPECTS(wanted.size() == got.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const double x = wanted[i], y = got[i];
    wanted_ += x * x;
    got_ += y * y;
    product_ += x * y;
    difference_ += (x - y) * (x - y);
  }
}

double Similarity::sqnr_db() const {
  if (wanted_ == 0) return kMissing;
  return difference_ == 0 ? kLargestDb : std::min(kLargestDb, 10 * std::log10(wanted_ / difference_));
}

double Similarity::cosine() const {
  return wanted_ > 0 && got_ > 0 ? product_ / (std::sqrt(wanted_) * std::sqrt(got_)) : kMissing;
}

ScoreKind score_kind(const Graph& graph) {
  QB_EXPECTS(!graph.outputs.empty());
  std::string value = graph.outputs.front();
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    if (std::find(node->outputs.begin(), node->outputs.end(), value) == node->outputs.end()) continue;
    if (node->op == "Softmax") return ScoreKind::probabilities;
    if (node->op == "LogSoftmax") return ScoreKind::log_probabilities;
    // These only rename or reshape what they are given.
    constexpr std::string_view kTransparent[] = {"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast"};
    if (std::find(std::begin(kTransparent), std::end(kTransparent), node->op) == std::end(kTransparent)) break;
    value = node->inputs.at(0);
  }
  return ScoreKind::logits;
}

Judgement judge(Executor& float_run, Executor& run, const Graph& graph, const Dataset& data, std::int64_t samples,
                std::int64_t batch) {
  Judgement result;
  const ScoreKind kind = score_kind(graph);
  const auto classes = std::size_t(data.classes);
  Similarity similarity;
  samples = std::min(samples, data.count());
  for (std::int64_t begin = 0; begin < samples; begin += batch) {
    const Tensor input = batch_of(data, begin, batch);
    const std::span<const float> wanted = float_run.run(input).as<float>(), got = run.run(input).as<float>();
    if (wanted.size() != std::size_t(batch) * classes || got.size() != wanted.size())
      throw DataError(fmt::format("the model gives {} scores per sample, but dataset '{}' has {} classes",
                                  wanted.size() / std::size_t(batch), data.name, classes));
    for (std::int64_t i = begin; i < std::min(begin + batch, samples); ++i) {
      const std::size_t at = std::size_t(i - begin) * classes;
      const std::span<const float> before = wanted.subspan(at, classes), after = got.subspan(at, classes);
      if (!all_finite(before) || !all_finite(after))
        throw DataError(fmt::format("sample {} of dataset '{}': the {} model's scores are not finite", i, data.name,
                                    all_finite(before) ? "quantized" : "float"));
      result.items.index.push_back(i);
      judge_item(before, after, data.targets[std::size_t(i)], kind, result.items);
      similarity.add(before, after);
    }
  }
  result.output_sqnr_db = similarity.sqnr_db();
  result.output_cosine = similarity.cosine();
  return result;
}

void judge_layers(Executor& float_run, Executor& run, const Dataset& data, std::int64_t batch, Judgement& judgement) {
  const NodeOutputs wanted(float_run), got(run);
  const std::int64_t samples = std::min(kLayerSamples, data.count());
  for (std::int64_t begin = 0; begin < std::max<std::int64_t>(samples, 1); begin += batch) {
    const Tensor input = batch_of(data, begin, batch);
    float_run.run(input);
    run.run(input);
  }
  for (const auto& [node, values] : got.outputs()) {
    const auto reference = wanted.outputs().find(node);
    if (reference == wanted.outputs().end() || reference->second.size() != values.size()) continue;
    Similarity similarity;
    similarity.add(reference->second, values);
    judgement.nodes.push_back(node);
    judgement.node_output_sqnr_db.push_back(similarity.sqnr_db());
  }
}

}  // namespace qb
