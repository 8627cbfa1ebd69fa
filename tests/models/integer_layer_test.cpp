// Integer operators with constant weights, which kernels compute, against the plain loops that compute the same nodes
// when their weights are fed: every bit must be equal.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "kernels/base/random.h"
#include "models/executor.h"
#include "models/integer_result.h"

namespace qb {
namespace {

using Ints = std::vector<std::int64_t>;
using Attributes = std::map<std::string, Attribute, std::less<>>;

enum class Values {
  random,
  largest
};  ///< largest: codes at the ends of the range, so that sums are as great as can be

struct Case {
  std::string name;
  bool conv = true;
  DType x_type = DType::u8, w_type = DType::i8;
  Shape x, w;
  Attributes attributes = {};
  int x_zero = 0, w_zero = 0;  ///< -1000: not given, or for w one by channel
  Values values = Values::random;
  std::size_t pieces = 1;
  std::string_view family = "gemm_s8_q8";
};
constexpr int kMissing = -1000;

Tensor code(DType type, int value) {
  Tensor tensor(type, {1});
  tensor.bytes.as<std::uint8_t>()[0] = std::uint8_t(value);
  return tensor;
}

/// The largest products come of the greatest distance to a zero point of -128, in every place or in every second.
Tensor codes(DType type, const Shape& shape, Values values, Random& random) {
  Tensor tensor(type, shape);
  const std::uint8_t high = type == DType::u8 ? 255 : 127;
  for (std::int64_t i = 0; i < tensor.size(); ++i)
    tensor.bytes.as<std::uint8_t>()[i] = values == Values::largest ? high : std::uint8_t(random.below(256));
  return tensor;
}

Tensor scales(std::int64_t count, Random& random) {
  Tensor tensor(DType::f32, {count});
  for (float& scale : tensor.as<float>()) scale = float(random.uniform(0.001, 0.03));
  return tensor;
}

/// The operands of one node by name, x first.
struct Operands {
  std::string op;
  std::vector<std::pair<std::string, Tensor>> all;
};

Operands operands_of(const Case& c, bool linear, Random& random) {
  const std::int64_t n = c.conv ? c.w[0] : c.w.back();
  const Tensor x = codes(c.x_type, c.x, c.values, random), w = codes(c.w_type, c.w, c.values, random);
  const Tensor x_zero = code(c.x_type, c.x_zero == kMissing ? 0 : c.x_zero);
  const Tensor w_zero = c.w_zero == kMissing ? codes(c.w_type, {n}, Values::random, random) : code(c.w_type, c.w_zero);
  if (!linear) {
    Operands out{c.conv ? "ConvInteger" : "MatMulInteger", {{"x", x}, {"w", w}}};
    if (c.x_zero != kMissing) out.all.insert(out.all.end(), {{"x_zero", x_zero}, {"w_zero", w_zero}});
    return out;
  }
  const Tensor w_scale = scales(c.w_zero == kMissing ? n : 1, random);
  Operands out{c.conv ? "QLinearConv" : "QLinearMatMul",
               {{"x", x},
                {"x_scale", scales(1, random)},
                {"x_zero", x_zero},
                {"w", w},
                {"w_scale", w_scale},
                {"w_zero", w_zero},
                {"y_scale", tensor_of({1}, std::vector<float>{0.4f})},
                {"y_zero", code(c.x_type, 3)}}};
  if (c.conv) {
    Tensor bias(DType::i32, {n});
    for (std::int32_t& value : bias.as<std::int32_t>()) value = std::int32_t(random.below(20001)) - 10000;
    out.all.emplace_back("bias", bias);
  }
  return out;
}

/// One node whose operands are weights but for those named in `fed`.
Model model_of(const Operands& operands, const Attributes& attributes, const std::vector<std::string>& fed) {
  Model model;
  Node node{"node", operands.op, {}, {"y"}, attributes, {}};
  for (const auto& [name, tensor] : operands.all) {
    node.inputs.push_back(name);
    if (std::ranges::count(fed, name) > 0)
      model.graph.inputs.push_back({name, tensor.dtype, tensor.shape});
    else
      model.weights.emplace(name, tensor);
  }
  model.graph.nodes = {node};
  model.graph.outputs = {"y"};
  return model;
}

std::vector<std::string> names_of(const Operands& operands) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : operands.all) names.push_back(name);
  return names;
}

std::vector<Tensor> fed_of(const Operands& operands, const std::vector<std::string>& fed) {
  std::vector<Tensor> tensors;
  for (const auto& [name, tensor] : operands.all)
    if (std::ranges::count(fed, name) > 0) tensors.push_back(tensor);
  return tensors;
}

bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.dtype == b.dtype && a.shape == b.shape &&
         std::equal(a.bytes.span().begin(), a.bytes.span().end(), b.bytes.span().begin(), b.bytes.span().end());
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {.name = "3x3, padded",
       .x = {2, 8, 21, 19},
       .w = {12, 8, 3, 3},
       .attributes = {{"pads", Ints{1, 2, 1, 0}}},
       .x_zero = 131,
       .w_zero = 5},
      {.name = "few channels, strides",
       .x = {3, 3, 14, 15},
       .w = {20, 3, 3, 5},
       .attributes = {{"strides", Ints{2, 3}}, {"pads", Ints{1, 0, 0, 2}}},
       .x_zero = 0,
       .w_zero = kMissing},
      {.name = "dilation, s8 by u8",
       .x_type = DType::i8,
       .w_type = DType::u8,
       .x = {1, 16, 13, 18},
       .w = {8, 16, 3, 3},
       .attributes = {{"dilations", Ints{2, 3}}, {"pads", Ints{2, 3, 2, 3}}},
       .x_zero = -128,
       .w_zero = 255},
      {.name = "pointwise",
       .x_type = DType::i8,
       .x = {5, 70, 9, 7},
       .w = {33, 70, 1, 1},
       .x_zero = 0,
       .w_zero = kMissing},
      {.name = "pointwise, strided",
       .x = {2, 24, 10, 11},
       .w = {40, 24, 1, 1},
       .attributes = {{"strides", Ints{2, 2}}},
       .x_zero = 255,
       .w_zero = -128},
      {.name = "one axis", .x = {2, 12, 50}, .w = {9, 12, 4}, .attributes = {{"pads", Ints{3, 1}}}, .x_zero = 128},
      {.name = "groups",
       .x = {2, 12, 11, 10},
       .w = {8, 3, 3, 3},
       .attributes = {{"group", std::int64_t(4)}, {"pads", Ints{1, 1, 1, 1}}},
       .x_zero = 77,
       .w_zero = kMissing},
      {.name = "groups of one result",
       .x = {2, 12, 11, 10},
       .w = {4, 3, 3, 3},
       .attributes = {{"group", std::int64_t(4)}, {"pads", Ints{1, 1, 1, 1}}},
       .x_zero = 128,
       .w_zero = 9},
      {.name = "depthwise, u8",
       .x = {3, 20, 17, 12},
       .w = {20, 1, 3, 3},
       .attributes = {{"group", std::int64_t(20)}, {"pads", Ints{1, 1, 1, 1}}, {"strides", Ints{2, 1}}},
       .x_zero = 30,
       .w_zero = kMissing,
       .family = "depthwise_s8_q8"},
      {.name = "depthwise, s8 with zero point 0",
       .x_type = DType::i8,
       .x = {2, 20, 17, 12},
       .w = {40, 1, 5, 3},
       .attributes = {{"group", std::int64_t(20)}, {"pads", Ints{2, 1, 2, 1}}},
       .x_zero = 0,
       .family = "depthwise_s8_q8"},
      {.name = "largest depthwise sums",
       .x = {1, 4, 16, 17},
       .w = {4, 1, 16, 16},
       .attributes = {{"group", std::int64_t(4)}},
       .x_zero = 0,
       .w_zero = -128,
       .values = Values::largest,
       .family = "depthwise_s8_q8"},
      {.name = "sums beyond 2^24",
       .x = {2, 61, 9, 8},
       .w = {10, 61, 3, 3},
       .attributes = {{"pads", Ints{1, 1, 1, 1}}},
       .x_zero = 0,
       .w_zero = -128,
       .values = Values::largest,
       .pieces = 3},
      {.name = "sums beyond 2^24 in groups",
       .x = {2, 80, 6, 6},
       .w = {6, 40, 3, 3},
       .attributes = {{"group", std::int64_t(2)}},
       .x_zero = 1,
       .w_zero = -127,
       .values = Values::largest,
       .pieces = 2},
      {.name = "one channel beyond 2^24",
       .x = {1, 2, 18, 18},
       .w = {3, 2, 17, 17},
       .x_zero = 0,
       .w_zero = -128,
       .values = Values::largest,
       .pieces = 0},
      {.name = "matrix", .conv = false, .x = {3, 40, 70}, .w = {70, 33}, .x_zero = 4, .w_zero = kMissing},
      {.name = "one row", .conv = false, .x_type = DType::i8, .x = {1, 129}, .w = {129, 65}, .x_zero = 0, .w_zero = 1},
      {.name = "no zero points",
       .conv = false,
       .w_type = DType::u8,
       .x = {7, 64},
       .w = {64, 16},
       .x_zero = kMissing,
       .w_zero = 0},
      {.name = "matrix beyond 2^24",
       .conv = false,
       .x_type = DType::i8,
       .x = {5, 1000},
       .w = {1000, 20},
       .x_zero = -128,
       .w_zero = -128,
       .values = Values::largest,
       .pieces = 4},
  };
  return all;
}

TEST_CASE("kernels give the bits of the plain loops") {
  for (const Case& c : cases()) {
    for (const bool linear : {false, true}) {
      if (linear && c.x_zero == kMissing) continue;
      Random random(17);
      const Operands operands = operands_of(c, linear, random);
      INFO(c.name << ", " << operands.op);
      const Model fed = model_of(operands, c.attributes, names_of(operands));
      const Model fixed = model_of(operands, c.attributes, {"x"});
      Executor loops(fed, {});
      CHECK(loops.layers().empty());
      loops.run(fed_of(operands, names_of(operands)));
      const Tensor& wanted = loops.outputs()[0];
      const Tensor& x = operands.all[0].second;
      for (const ExecutorOptions& options :
           {ExecutorOptions{}, ExecutorOptions{.threads = 3}, ExecutorOptions{.kernel = "reference"},
            ExecutorOptions{.isa = host_isa() & isa_cap("avx2"), .threads = 2}}) {
        Executor executor(fixed, options);
        REQUIRE(executor.layers().size() == c.pieces);
        executor.run(x);
        CHECK(same_bytes(executor.outputs()[0], wanted));
        executor.run(x);
        CHECK(same_bytes(executor.outputs()[0], wanted));
        if (c.pieces == 0) continue;
        CHECK(executor.layers()[0].kernel->family == c.family);
        CHECK(executor.layers()[0].kernel->reference == (options.kernel == "reference"));
        CHECK(includes(options.isa, executor.layers()[0].kernel->needs));
        CHECK(executor.prepared_bytes() > 0);
      }
      // A zero point that the graph computes, as behind DynamicQuantizeLinear: more pieces, the same bits.
      if (c.x_zero == kMissing || c.pieces == 0) continue;
      const Model dynamic = model_of(operands, c.attributes, {"x", "x_zero"});
      Executor executor(dynamic, {});
      executor.run(fed_of(operands, {"x", "x_zero"}));
      CHECK(same_bytes(executor.outputs()[0], wanted));
    }
  }
}

TEST_CASE("observers see every product of the kernels with the codes that they read") {
  for (const Case& c : cases()) {
    if (c.pieces == 0) continue;
    INFO(c.name);
    Random random(18);
    const Operands operands = operands_of(c, false, random);
    const Model model = model_of(operands, c.attributes, {"x"});
    Executor executor(model, {.threads = 2});
    std::vector<std::int64_t> seen(executor.layers().size());
    executor.observe({.product =
                          [&](const GemmEvent& event) {
                            seen.at(event.layer) += event.call->m * event.row_count;
                            CHECK(event.weights->kernel == executor.layers()[event.layer].kernel);
                          },
                      .depthwise = [&](const DepthwiseEvent& event) { ++seen.at(event.layer); }});
    executor.run(operands.all[0].second);
    const std::int64_t results = executor.outputs()[0].size();
    for (const std::int64_t count : seen) CHECK(count >= (c.family == "gemm_s8_q8" ? results : 1));
    std::int64_t k = 0;
    for (const ExecutorLayer& layer : executor.layers()) {
      CHECK(layer.node_name == "node");
      k += layer.where.k;
    }
    CHECK(k == operands.all[1].second.size() / executor.layers()[0].where.n);
  }
}

TEST_CASE("zero points by row, and weights that the graph computes, stay with the plain loops") {
  Random random(19);
  const Case c{.name = "", .conv = false, .x = {6, 40}, .w = {40, 8}, .x_zero = 3};
  Operands operands = operands_of(c, false, random);
  operands.all[2].second = codes(DType::u8, {6}, Values::random, random);
  const Model by_row = model_of(operands, {}, {"x"}), fed = model_of(operands, {}, names_of(operands));
  Executor some(by_row, {}), loops(fed, {});
  CHECK(some.layers().empty());
  some.run(operands.all[0].second);
  loops.run(fed_of(operands, names_of(operands)));
  CHECK(same_bytes(some.outputs()[0], loops.outputs()[0]));
  const Model open = model_of(operands, {}, {"x", "w"});
  CHECK(Executor(open, {}).layers().empty());
}

}  // namespace
}  // namespace qb
