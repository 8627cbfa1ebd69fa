#include "models/executor_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

namespace qb {

namespace {

constexpr std::int64_t kForever = std::numeric_limits<std::int64_t>::max();

/// Walks the graph once and fills the plan.
class Planner {
 public:
  Planner(const Model& model, const ExecutorOptions& options) : model_(model), options_(options) {
    for (const MatrixWeight& use : matrix_uses(model)) uses_.emplace(use.node, use);
  }

  ExecutionPlan finish() {
    add_inputs_and_weights();
    for (std::size_t i = 0; i < model_.graph.nodes.size(); ++i) add_node(i);
    for (std::size_t i = 0; i < model_.graph.outputs.size(); ++i) {
      const std::int64_t value = names_.find(model_.graph.outputs[i])->second;
      PlannedValue& planned = plan_.values[std::size_t(value)];
      if (planned.packed)
        throw DataError(fmt::format("model '{}': the packed weight '{}' cannot be an output", model_.name,
                                    model_.graph.outputs[i]));
      plan_.outputs.push_back(value);
      planned.last_use = kForever;
      if (planned.output < 0) planned.output = std::int64_t(i);
    }
    return std::move(plan_);
  }

 private:
  std::int64_t add_value(const std::string& name, PlannedValue value) {
    plan_.values.push_back(std::move(value));
    names_[name] = std::ssize(plan_.values) - 1;
    return std::ssize(plan_.values) - 1;
  }

  void add_inputs_and_weights() {
    std::int64_t position = 0;
    for (const ValueInfo& input : model_.graph.inputs) {
      PlannedValue value{.dtype = input.dtype, .shape = input.shape, .input = position++};
      std::replace(value.shape.begin(), value.shape.end(), std::int64_t(-1), options_.batch);
      element_count(value.shape, fmt::format("the graph input '{}'", input.name));
      add_value(input.name, std::move(value));
    }
    for (const auto& [name, weight] : model_.weights) {
      const Tensor* tensor = std::get_if<Tensor>(&weight);
      add_value(name, tensor ? PlannedValue{.dtype = tensor->dtype, .shape = tensor->shape, .constant = tensor}
                             : PlannedValue{.shape = {}, .packed = true});
    }
  }

  void add_node(std::size_t index) {
    const Node& node = model_.graph.nodes[index];
    PlannedStep step;
    step.node = index;
    std::vector<OpInput> inputs;
    bool all_constant = true;
    for (const std::string& name : node.inputs) {
      step.inputs.push_back(name.empty() ? -1 : names_.find(name)->second);
      inputs.push_back({});
      if (name.empty()) continue;
      const PlannedValue& value = plan_.values[std::size_t(step.inputs.back())];
      inputs.back() = {true, value.dtype, value.shape, value.constant};
      all_constant = all_constant && value.constant != nullptr;
    }
    const auto use = uses_.find(index);
    if (use != uses_.end()) return add_layer(node, use->second, std::move(inputs), std::move(step));
    if (node.activation)
      throw DataError(fmt::format(
          "node '{}' ({}): activations can be quantized only where the weight is a packed matrix", node.name, node.op));
    step.op = plan_operator(node, model_.graph.opset, inputs);
    if (all_constant || node.op == "Shape" || node.op == "Size") return fold(node, step);
    const std::vector<OpOutput> types = step.op.outputs;
    if (integer_inputs(node)) add_integer_layer(node, std::move(inputs), step);
    add_outputs(node, types, std::move(step));
  }

  void add_layer(const Node& node, const MatrixWeight& use, std::vector<OpInput> inputs, PlannedStep step) {
    inputs.resize(std::max<std::size_t>(inputs.size(), 3));
    const OpSite site{&node, model_.graph.opset, std::move(inputs)};
    if (!site.has(0) || site.inputs.size() > 3 || node.outputs.size() != 1)
      site.fail("must have two or three inputs and one output");
    step.layer = std::ssize(plan_.layers);
    step.prepared = 1;
    plan_.layers.push_back(prepare_layer(model_, use, site, options_));
    add_outputs(node, {plan_.layers.back().output}, std::move(step));
  }

  /// Has kernels compute a node that plan_operator() has accepted, where they can.
  void add_integer_layer(const Node& node, std::vector<OpInput> inputs, PlannedStep& step) {
    inputs.resize(std::size_t(find_operator(node.op)->max_inputs));
    const OpSite site{&node, model_.graph.opset, std::move(inputs)};
    std::optional<IntegerLayer> layer = plan_integer_layer(site, step.node, options_, plan_.layers);
    if (!layer) return;
    step.op = {};
    step.integer = std::ssize(plan_.integers);
    step.prepared = std::int64_t(layer->inputs.w);
    plan_.integers.push_back(std::move(*layer));
  }

  void add_outputs(const Node& node, const std::vector<OpOutput>& types, PlannedStep step) {
    const auto now = std::ssize(plan_.steps);
    for (const std::int64_t input : step.inputs)
      if (input >= 0) plan_.values[std::size_t(input)].last_use = now;
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      const OpOutput& type = types[i];
      step.outputs.push_back(
          node.outputs[i].empty()
              ? -1
              : add_value(node.outputs[i], {.dtype = type.dtype, .shape = type.shape, .last_use = now}));
    }
    plan_.steps.push_back(std::move(step));
  }

  /// Runs a node whose result is known now; it is no step of the plan.
  void fold(const Node& node, const PlannedStep& step) {
    std::vector<const Tensor*> inputs;
    for (const std::int64_t input : step.inputs)
      inputs.push_back(input < 0 ? nullptr : plan_.values[std::size_t(input)].constant);
    std::vector<Tensor*> outputs;
    for (const OpOutput& type : step.op.outputs) {
      plan_.folded.push_back(std::make_unique<Tensor>(type.dtype, type.shape));
      outputs.push_back(plan_.folded.back().get());
    }
    step.op.run({inputs, outputs, 1});
    for (std::size_t i = 0; i < node.outputs.size(); ++i)
      if (!node.outputs[i].empty())
        add_value(node.outputs[i], {.dtype = outputs[i]->dtype, .shape = outputs[i]->shape, .constant = outputs[i]});
  }

  const Model& model_;
  const ExecutorOptions& options_;
  std::map<std::size_t, MatrixWeight> uses_;
  std::map<std::string, std::int64_t, std::less<>> names_;
  ExecutionPlan plan_;
};

/// Hands out slots and takes them back.
class Memory {
 public:
  explicit Memory(ExecutionPlan& plan) : plan_(plan) {
    plan_.slots.clear();
    for (const std::int64_t output : plan_.outputs) new_slot(plan_.values[std::size_t(output)]);
  }

  std::int64_t take(const PlannedValue& value) {
    std::vector<std::int64_t>& idle = idle_[bytes(value)];
    if (idle.empty()) return new_slot(value);
    const std::int64_t slot = idle.back();
    idle.pop_back();
    return slot;
  }

  void give(const PlannedValue& value) { idle_[bytes(value)].push_back(value.slot); }

  static std::int64_t bytes(const PlannedValue& value) {
    return element_count(value.shape) * std::int64_t(bytes_of(value.dtype));
  }

 private:
  std::int64_t new_slot(const PlannedValue& value) {
    plan_.slots.emplace_back(value.dtype, value.shape);
    plan_.slots.back().shape.reserve(8);
    return std::ssize(plan_.slots) - 1;
  }

  ExecutionPlan& plan_;
  std::map<std::int64_t, std::vector<std::int64_t>> idle_;
};

/// The input whose memory output 0 of a step may take over, or -1.
std::int64_t heir_of(const ExecutionPlan& plan, std::size_t index, bool overwrite) {
  const PlannedStep& step = plan.steps[index];
  if (!overwrite || step.layer >= 0 || step.outputs[0] < 0 || plan.values[std::size_t(step.outputs[0])].output >= 0)
    return -1;
  for (std::size_t i = 0; i < std::min<std::size_t>(step.inputs.size(), 32); ++i) {
    const bool allowed = (step.op.overwrites >> i & 1) != 0 || (i == 0 && step.op.reshapes);
    if (!allowed || step.inputs[i] < 0) continue;
    const PlannedValue& input = plan.values[std::size_t(step.inputs[i])];
    if (input.slot >= 0 && input.output < 0 && input.last_use == std::int64_t(index) &&
        Memory::bytes(input) == Memory::bytes(plan.values[std::size_t(step.outputs[0])]))
      return step.inputs[i];
  }
  return -1;
}

}  // namespace

ExecutionPlan plan_graph(const Model& model, const ExecutorOptions& options) {
  return Planner(model, options).finish();
}

void assign_memory(ExecutionPlan& plan, bool overwrite) {
  for (PlannedValue& value : plan.values) value.slot = -1;
  Memory memory(plan);
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const PlannedStep& step = plan.steps[i];
    const std::int64_t heir = heir_of(plan, i, overwrite);
    for (std::size_t j = 0; j < step.outputs.size(); ++j) {
      if (step.outputs[j] < 0) continue;
      PlannedValue& value = plan.values[std::size_t(step.outputs[j])];
      value.slot = value.output >= 0     ? value.output
                   : j == 0 && heir >= 0 ? plan.values[std::size_t(heir)].slot
                                         : memory.take(value);
    }
    std::vector<std::int64_t> ending = step.inputs;
    ending.insert(ending.end(), step.outputs.begin(), step.outputs.end());
    std::sort(ending.begin(), ending.end());
    ending.erase(std::unique(ending.begin(), ending.end()), ending.end());
    for (const std::int64_t id : ending) {
      if (id < 0 || id == heir) continue;
      const PlannedValue& value = plan.values[std::size_t(id)];
      if (value.slot >= 0 && value.output < 0 && value.last_use == std::int64_t(i)) memory.give(value);
    }
  }
}

}  // namespace qb
