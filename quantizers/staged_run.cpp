#include "quantizers/staged_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "quantizers/sample_runs.h"

namespace qb {

StagedRun::StagedRun(const Model& model, const Tensor& samples, int threads, std::int64_t kept_bytes)
    : model_(model), threads_(threads), kept_bytes_(kept_bytes) {
  check_samples(model, samples);
  for (std::size_t i = 0; i < model.graph.nodes.size(); ++i)
    for (const std::string& input : model.graph.nodes[i].inputs) last_readers_[input] = i;
  for (std::int64_t begin = 0; begin < samples.shape[0]; begin += kCalibrationBatch) {
    Batch& batch = batches_.emplace_back();
    batch.samples = std::min(kCalibrationBatch, samples.shape[0] - begin);
    Tensor rows = sample_rows(samples, begin, batch.samples);
    if (!facts_.contains(batch.samples)) learn_facts(rows);
    batch.values.emplace(model.graph.inputs[0].name, std::move(rows));
  }
}

void StagedRun::learn_facts(const Tensor& samples) {
  Facts& facts = facts_[samples.shape[0]];
  facts.runs.resize(model_.graph.nodes.size(), false);
  const std::string& input = model_.graph.inputs[0].name;
  facts.types[input] = {input, samples.dtype, samples.shape};
  ExecutorOptions options;
  options.batch = samples.shape[0];
  options.threads = threads_;
  Executor executor(model_, options);
  ExecutorObserver observer;
  observer.after = [&](const NodeEvent& event) {
    facts.runs[event.node] = true;
    for (std::size_t i = 0; i < event.outputs.size(); ++i)
      if (event.outputs[i] != nullptr) {
        const std::string& name = event.what->outputs[i];
        facts.types[name] = {name, event.outputs[i]->dtype, event.outputs[i]->shape};
      }
    for (std::size_t i = 0; i < event.inputs.size(); ++i) {
      const std::string& name = event.what->inputs[i];
      if (event.inputs[i] != nullptr && !facts.types.contains(name) && !model_.weights.contains(name))
        facts.constants.emplace(name, *event.inputs[i]);
    }
  };
  executor.observe(std::move(observer));
  executor.run(samples);
}

bool StagedRun::is_read_from(const std::string& value, std::size_t node) const {
  const auto last = last_readers_.find(value);
  return last != last_readers_.end() && last->second >= node;
}

std::int64_t StagedRun::bytes_before(std::size_t node) const {
  std::set<std::string> made = {model_.graph.inputs[0].name};
  for (std::size_t i = 0; i < node; ++i)
    made.insert(model_.graph.nodes[i].outputs.begin(), model_.graph.nodes[i].outputs.end());
  std::int64_t bytes = 0;
  for (const Batch& batch : batches_)
    for (const auto& [name, type] : facts_.find(batch.samples)->second.types)
      if (made.contains(name) && is_read_from(name, node))
        bytes += element_count(type.shape) * std::int64_t(bytes_of(type.dtype));
  return bytes;
}

StagedRun::Part::Sized& StagedRun::Part::sized(std::size_t batch) {
  const std::int64_t samples = owner_->batches_[batch].samples;
  Sized& sized = sized_[samples];
  if (sized.executor != nullptr) return sized;
  const Model& model = owner_->model_;
  const Facts& facts = owner_->facts_.find(samples)->second;
  sized.model.name = model.name;
  Graph& graph = sized.model.graph;
  graph.opset = model.graph.opset;
  std::set<std::string> known;
  for (std::size_t i = owner_->kept_; i < end_; ++i) {
    if (!facts.runs[i]) continue;
    graph.nodes.push_back(model.graph.nodes[i]);
    for (const std::string& name : graph.nodes.back().inputs) {
      if (name.empty() || !known.insert(name).second) continue;
      if (const auto weight = model.weights.find(name); weight != model.weights.end())
        sized.model.weights.insert(*weight);
      else if (const auto constant = facts.constants.find(name); constant != facts.constants.end())
        sized.model.weights.insert(*constant);
      else
        graph.inputs.push_back(facts.types.find(name)->second);
    }
    for (const std::string& name : graph.nodes.back().outputs) {
      known.insert(name);
      if (!name.empty() && owner_->is_read_from(name, end_)) graph.outputs.push_back(name);
    }
  }
  if (graph.outputs.empty()) graph.outputs.push_back(graph.nodes.back().outputs[0]);
  ExecutorOptions options;
  options.batch = samples;
  options.threads = owner_->threads_;
  sized.executor = std::make_unique<Executor>(sized.model, options);
  return sized;
}

std::vector<Tensor> StagedRun::Part::inputs(std::size_t batch) {
  std::vector<Tensor> inputs;
  for (const ValueInfo& input : sized(batch).model.graph.inputs)
    inputs.push_back(owner_->batches_[batch].values.find(input.name)->second);
  return inputs;
}

void StagedRun::Part::run(std::size_t batch, const std::function<ExecutorObserver(std::size_t layer)>& watch) {
  Executor& executor = *sized(batch).executor;
  const std::size_t last = sized(batch).model.graph.nodes.size() - 1;
  const auto layers = executor.layers();
  const auto layer = std::ranges::find(layers, last, [](const ExecutorLayer& one) { return one.where.node; });
  QB_EXPECTS(layer != layers.end());
  executor.observe(watch(std::size_t(layer - layers.begin())));
  executor.run(inputs(batch));
}

void StagedRun::keep_before(std::size_t node) {
  QB_EXPECTS(node >= kept_);
  const auto& runs = facts_.begin()->second.runs;
  const bool idle = std::none_of(runs.begin() + std::ptrdiff_t(kept_), runs.begin() + std::ptrdiff_t(node),
                                 [](bool one) { return one; });
  if (idle || bytes_before(node) > kept_bytes_) return;
  Part part(*this, node);
  for (std::size_t b = 0; b < batches_.size(); ++b) {
    std::map<std::string, Tensor>& values = batches_[b].values;
    const std::vector<std::string>& made = part.sized(b).model.graph.outputs;
    part.sized(b).executor->run(part.inputs(b));
    const std::span<const Tensor> results = part.sized(b).executor->outputs();
    for (std::size_t i = 0; i < made.size(); ++i) values.insert_or_assign(made[i], results[i]);
    std::erase_if(values, [&](const auto& value) { return !is_read_from(value.first, node); });
  }
  kept_ = node;
}

}  // namespace qb
