#include "models/executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "models/executor_plan.h"

namespace qb {

namespace {

/// A step with the places of its operands, so that a run looks nothing up.
struct BoundStep {
  const Node* node = nullptr;
  std::vector<const Tensor*> inputs;
  std::vector<Tensor*> outputs;
  std::vector<const Tensor*> results;                             ///< the outputs again, for observers
  std::vector<const PlannedValue*> types;                         ///< of the outputs; null where nobody wants one
  std::vector<std::pair<std::size_t, std::size_t>> graph_inputs;  ///< own input <- graph input
};

}  // namespace

struct Executor::State {
  State(const Model& the_model, const ExecutorOptions& the_options) : model(the_model), options(the_options) {}

  void bind(bool overwrite);
  void check_inputs(std::span<const Tensor> inputs) const;
  void run_step(std::size_t index, std::span<const Tensor> inputs);
  void collect_outputs(std::span<const Tensor> inputs);

  const Model& model;
  const ExecutorOptions options;
  ExecutionPlan plan;
  std::vector<BoundStep> steps;
  std::vector<ExecutorLayer> layers;
  LayerWorkspaces workspaces;
  IntegerWorkspace integers;
  ExecutorObserver observer;
  Tensor first_output;  ///< float32 copy of output 0 where it has another type
};

void Executor::State::bind(bool overwrite) {
  assign_memory(plan, overwrite);
  steps.clear();
  for (const PlannedStep& step : plan.steps) {
    BoundStep bound;
    bound.node = &model.graph.nodes[step.node];
    for (std::size_t i = 0; i < step.inputs.size(); ++i) {
      const PlannedValue* value = step.inputs[i] < 0 ? nullptr : &plan.values[std::size_t(step.inputs[i])];
      if (value && value->input >= 0) bound.graph_inputs.emplace_back(i, std::size_t(value->input));
      bound.inputs.push_back(!value             ? nullptr
                             : value->slot >= 0 ? &plan.slots[std::size_t(value->slot)]
                                                : value->constant);
    }
    for (const std::int64_t output : step.outputs) {
      const PlannedValue* value = output < 0 ? nullptr : &plan.values[std::size_t(output)];
      bound.types.push_back(value);
      bound.outputs.push_back(value ? &plan.slots[std::size_t(value->slot)] : nullptr);
      bound.results.push_back(bound.outputs.back());
    }
    steps.push_back(std::move(bound));
  }
}

void Executor::State::check_inputs(std::span<const Tensor> inputs) const {
  const std::vector<ValueInfo>& wanted = model.graph.inputs;
  if (inputs.size() != wanted.size())
    throw DataError(fmt::format("model '{}' takes {} inputs, not {}", model.name, wanted.size(), inputs.size()));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const PlannedValue& value = plan.values[i];
    if (inputs[i].dtype != value.dtype || inputs[i].shape != value.shape)
      throw DataError(fmt::format("input '{}' of model '{}' must be {} {}, not {} {}", wanted[i].name, model.name,
                                  name_of(value.dtype), to_text(value.shape), name_of(inputs[i].dtype),
                                  to_text(inputs[i].shape)));
  }
}

void Executor::State::run_step(std::size_t index, std::span<const Tensor> inputs) {
  BoundStep& step = steps[index];
  const PlannedStep& planned = plan.steps[index];
  for (const auto& [own, graph] : step.graph_inputs) step.inputs[own] = &inputs[graph];
  if (observer.before) observer.before({planned.node, step.node, step.inputs, {}});
  for (std::size_t i = 0; i < step.outputs.size(); ++i) {
    if (!step.outputs[i]) continue;
    step.outputs[i]->dtype = step.types[i]->dtype;
    step.outputs[i]->shape = step.types[i]->shape;
  }
  const OpRun run{step.inputs, step.outputs, options.threads, options.kernel == "reference" ? Isa::none : options.isa};
  if (planned.integer >= 0) {
    IntegerLayer& layer = plan.integers[std::size_t(planned.integer)];
    run_integer_layer(layer, std::span(plan.layers).subspan(layer.first, layer.begin.size()), run, workspaces, integers,
                      observer);
  } else if (planned.layer >= 0) {
    const auto layer = std::size_t(planned.layer);
    run_layer(plan.layers[layer], run, workspaces, observer, layer);
  } else {
    planned.op.run(run);
  }
  if (observer.after) observer.after({planned.node, step.node, step.inputs, step.results});
}

/// Outputs that no step computed (inputs, constants, repeats) are copied into their place.
void Executor::State::collect_outputs(std::span<const Tensor> inputs) {
  for (std::size_t i = 0; i < plan.outputs.size(); ++i) {
    const PlannedValue& value = plan.values[std::size_t(plan.outputs[i])];
    const Tensor& from = value.constant     ? *value.constant
                         : value.input >= 0 ? inputs[std::size_t(value.input)]
                                            : plan.slots[std::size_t(value.slot)];
    Tensor& to = plan.slots[i];
    if (&from != &to && from.bytes.size() > 0) std::memcpy(to.bytes.data(), from.bytes.data(), from.bytes.size());
  }
  if (plan.slots[0].dtype != DType::f32) first_output = to_f32(plan.slots[0]);
}

Executor::Executor(const Model& model, const ExecutorOptions& options)
    : state_(std::make_unique<State>(model, options)) {
  QB_EXPECTS(options.threads >= 1 && options.batch >= 1 && includes(host_isa(), options.isa));
  check_kernel_choice(options.kernel);
  check_graph(model);
  state_->plan = plan_graph(model, options);
  for (const ProductLayer& layer : state_->plan.layers) {
    state_->layers.push_back(layer.info);
    state_->layers.back().prepared = &layer.groups[0];
  }
  state_->workspaces.threads.resize(1);
  for (const ProductLayer& layer : state_->plan.layers) reserve_workspaces(layer, options.threads, state_->workspaces);
  state_->bind(/*overwrite=*/true);
}

Executor::~Executor() = default;

const Tensor& Executor::run(std::span<const Tensor> inputs) {
  state_->check_inputs(inputs);
  for (std::size_t i = 0; i < state_->steps.size(); ++i) state_->run_step(i, inputs);
  state_->collect_outputs(inputs);
  return state_->plan.slots[0].dtype == DType::f32 ? state_->plan.slots[0] : state_->first_output;
}

const Tensor& Executor::run(const Tensor& input) { return run(std::span(&input, 1)); }

std::span<const Tensor> Executor::outputs() const {
  return std::span(state_->plan.slots).first(state_->plan.outputs.size());
}

void Executor::observe(ExecutorObserver observer) {
  const auto watches_nodes = [](const ExecutorObserver& one) { return one.before || one.after; };
  const bool was_watched = watches_nodes(state_->observer), is_watched = watches_nodes(observer);
  state_->observer = std::move(observer);
  if (was_watched != is_watched) state_->bind(!is_watched);
}

std::span<const ExecutorLayer> Executor::layers() const { return state_->layers; }

std::int64_t Executor::prepared_bytes() const {
  std::int64_t bytes = 0;
  for (const ProductLayer& layer : state_->plan.layers) bytes += layer.prepared_bytes();
  return bytes;
}

std::int64_t Executor::scratch_bytes() const {
  std::int64_t bytes = 0;
  for (const Tensor& slot : state_->plan.slots) bytes += std::int64_t(slot.bytes.size());
  for (const PlannedStep& step : state_->plan.steps)
    if (step.op.workspace_bytes) bytes += step.op.workspace_bytes();
  return bytes + state_->workspaces.bytes() + state_->integers.bytes();
}

std::vector<std::span<const std::byte>> Executor::weight_memory() const {
  std::vector<std::span<const std::byte>> memory;
  for (const ProductLayer& layer : state_->plan.layers)
    for (const PreparedMatrix& group : layer.groups) memory.push_back(group.bytes.span());
  std::vector<const Tensor*> constants;
  for (std::size_t i = 0; i < state_->plan.steps.size(); ++i) {
    const PlannedStep& step = state_->plan.steps[i];
    for (std::size_t j = 0; j < step.inputs.size(); ++j) {
      if (step.inputs[j] < 0 || std::int64_t(j) == step.prepared) continue;
      if (const Tensor* constant = state_->plan.values[std::size_t(step.inputs[j])].constant)
        constants.push_back(constant);
    }
  }
  std::sort(constants.begin(), constants.end());
  constants.erase(std::unique(constants.begin(), constants.end()), constants.end());
  for (const Tensor* constant : constants)
    if (constant->bytes.size() > 0) memory.push_back(constant->bytes.span());
  return memory;
}

}  // namespace qb
