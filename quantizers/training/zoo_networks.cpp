#include "quantizers/training/zoo_networks.h"

#include <string>
#include <utility>

namespace qb {
namespace {

/// Appends layers to a network; each reads the last one's output.
class NetworkBuilder {
 public:
  explicit NetworkBuilder(Shape input) : last_("input") {
    network_.graph.inputs.push_back({last_, DType::f32, std::move(input)});
  }

  NetworkBuilder& conv(const std::string& name, std::int64_t inputs, std::int64_t filters, std::int64_t kernel) {
    network_.weights.emplace(name + ".weight", Tensor(DType::f32, {filters, inputs, kernel, kernel}));
    network_.weights.emplace(name + ".bias", Tensor(DType::f32, {filters}));
    const std::int64_t pad = kernel / 2;
    return add(name, "Conv", {name + ".weight", name + ".bias"},
               {{"kernel_shape", std::vector{kernel, kernel}}, {"pads", std::vector{pad, pad, pad, pad}}});
  }
  NetworkBuilder& dense(const std::string& name, std::int64_t inputs, std::int64_t outputs) {
    network_.weights.emplace(name + ".weight", Tensor(DType::f32, {outputs, inputs}));
    network_.weights.emplace(name + ".bias", Tensor(DType::f32, {outputs}));
    return add(name, "Gemm", {name + ".weight", name + ".bias"}, {{"transB", std::int64_t(1)}});
  }
  NetworkBuilder& relu(const std::string& name) { return add(name, "Relu", {}, {}); }
  NetworkBuilder& flatten(const std::string& name) { return add(name, "Flatten", {}, {{"axis", std::int64_t(1)}}); }
  NetworkBuilder& pool(const std::string& name) {
    const std::vector<std::int64_t> two = {2, 2};
    return add(name, "MaxPool", {}, {{"kernel_shape", two}, {"strides", two}});
  }
  Network done() {
    network_.graph.outputs = {last_};
    return std::move(network_);
  }

 private:
  NetworkBuilder& add(const std::string& name, const std::string& op, const std::vector<std::string>& weights,
                      std::map<std::string, Attribute, std::less<>> attributes) {
    Node node;
    node.name = name;
    node.op = op;
    node.inputs = {last_};
    node.inputs.insert(node.inputs.end(), weights.begin(), weights.end());
    last_ = name + ".out";
    node.outputs = {last_};
    node.attributes = std::move(attributes);
    network_.graph.nodes.push_back(std::move(node));
    return *this;
  }

  std::string last_;
  Network network_;
};

}  // namespace

Network glyphs_mlp_network() {
  return NetworkBuilder({-1, 1, 20, 20})
      .flatten("flatten")
      .dense("dense1", 400, 128)
      .relu("relu1")
      .dense("dense2", 128, 64)
      .relu("relu2")
      .dense("dense3", 64, 47)
      .done();
}

Network glyphs_cnn_network() {
  return NetworkBuilder({-1, 1, 20, 20})
      .conv("conv1", 1, 12, 3)
      .relu("relu1")
      .pool("pool1")
      .conv("conv2", 12, 24, 3)
      .relu("relu2")
      .conv("conv3", 24, 32, 3)
      .relu("relu3")
      .pool("pool2")
      .flatten("flatten")
      .dense("dense1", 800, 47)
      .done();
}

Network grammar_mlp_network() {
  return NetworkBuilder({-1, 64})
      .dense("dense1", 64, 128)
      .relu("relu1")
      .dense("dense2", 128, 64)
      .relu("relu2")
      .dense("dense3", 64, 16)
      .done();
}

}  // namespace qb
