#include "models/llama.h"

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "kernels/base/parallel.h"
#include "kernels/base/random.h"

namespace qb {

namespace {

/// Appends nodes to a graph; a node has the name of its only output.
class GraphBuilder {
 public:
  explicit GraphBuilder(const LlamaShape& shape) : shape_(shape) {}

  Graph build() {
    constexpr int kOpset = 24;  // the first with all of these operators
    graph_.opset = kOpset;
    graph_.inputs = {{"tokens", DType::f32, {-1, shape_.tokens}}};
    add("Cast", {"tokens"}, "ids", {{"to", kInt64}});
    add("Shape", {"tokens"}, "batch", {{"end", std::int64_t(1)}});
    add("Concat", {"batch", "positions.shape"}, "positions.batch", {{"axis", std::int64_t(0)}});
    add("Expand", {"positions", "positions.batch"}, "places", {});
    std::string x = add("Gather", {"token_embd.weight", "ids"}, "token_embd", {});
    for (std::int64_t layer = 0; layer < shape_.layers; ++layer) {
      const std::string block = fmt::format("blk.{}.", layer);
      x = add("Add", {x, attend(block, normalize(x, block + "attn_norm"))}, block + "attn_residual", {});
      x = add("Add", {x, feed_forward(block, normalize(x, block + "ffn_norm"))}, block + "ffn_residual", {});
    }
    if (!shape_.every_position) {
      x = add("Slice", {x, "last.begin", "last.end", "last.axis"}, "last", {});
      x = add("Squeeze", {x, "last.axis"}, "last.row", {});
    }
    graph_.outputs = {multiply(normalize(x, "output_norm"), "output")};
    return std::move(graph_);
  }

 private:
  static constexpr std::int64_t kInt64 = 7;  ///< ONNX, TensorProto.DataType

  std::string add(const std::string& op, std::vector<std::string> inputs, const std::string& output,
                  std::map<std::string, Attribute, std::less<>> attributes) {
    graph_.nodes.push_back({output, op, std::move(inputs), {output}, std::move(attributes), {}});
    return output;
  }
  std::string multiply(const std::string& x, const std::string& name) {
    return add("MatMul", {x, name + ".weight"}, name, {});
  }
  std::string normalize(const std::string& x, const std::string& name) {
    return add("RMSNormalization", {x, name + ".weight"}, name, {{"epsilon", float(shape_.epsilon)}});
  }
  std::string turn(const std::string& x, std::int64_t heads) {
    return add("RotaryEmbedding", {x, "rotary.cosine", "rotary.sine", "places"}, x + ".turned",
               {{"num_heads", heads}, {"interleaved", std::int64_t(shape_.interleaved)}});
  }
  /// Keys or values of the past, once per sample.
  std::string past(const std::string& name) {
    if (shape_.past == 0) return "";
    add("Concat", {"batch", "past.shape"}, name + ".shape", {{"axis", std::int64_t(0)}});
    return add("Expand", {name, name + ".shape"}, name + ".batch", {});
  }
  std::string attend(const std::string& block, const std::string& x) {
    const std::string q = turn(multiply(x, block + "attn_q"), shape_.heads),
                      k = turn(multiply(x, block + "attn_k"), shape_.kv_heads), v = multiply(x, block + "attn_v");
    const std::string key = past(block + "past_key"), value = past(block + "past_value");
    add("Attention", {q, k, v, "", key, value}, block + "attn",
        {{"q_num_heads", shape_.heads}, {"kv_num_heads", shape_.kv_heads}, {"is_causal", std::int64_t(1)}});
    return multiply(block + "attn", block + "attn_output");
  }
  std::string feed_forward(const std::string& block, const std::string& x) {
    const std::string gate = add("Swish", {multiply(x, block + "ffn_gate")}, block + "ffn_swish", {});
    add("Mul", {gate, multiply(x, block + "ffn_up")}, block + "ffn_gated", {});
    return multiply(block + "ffn_gated", block + "ffn_down");
  }

  const LlamaShape& shape_;
  Graph graph_;
};

Tensor integers(std::vector<std::int64_t> values, Shape shape) {
  Tensor tensor(DType::i64, std::move(shape));
  std::copy(values.begin(), values.end(), tensor.as<std::int64_t>().begin());
  return tensor;
}

/// Nearly normal: each the sum of four uniforms, by a stream of its own for each row, so that threads may share the
/// work.
Tensor random_tensor(Shape shape, double deviation, std::uint64_t seed, std::uint64_t stream) {
  Tensor tensor(DType::f32, std::move(shape));
  const std::int64_t row = tensor.shape.back(), rows = row > 0 ? tensor.size() / row : 0;
  // A uniform on [0, 2^16) has the deviation 2^16 / sqrt(12), four together twice as much.
  const auto factor = float(deviation * std::sqrt(3.0) / 65536.0);
  const auto fill = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      Random random(seed, mix64(stream) + std::uint64_t(i));
      for (float& value : tensor.as<float>().subspan(std::size_t(i * row), std::size_t(row))) {
        const std::uint64_t word = random();
        const auto sum = std::int32_t(word & 0xffff) + std::int32_t(word >> 16 & 0xffff) +
                         std::int32_t(word >> 32 & 0xffff) + std::int32_t(word >> 48);
        value = factor * (float(sum) - 131070.0f);
      }
    }
  };
  parallel_for(rows, hardware_threads(), 64, std::cref(fill));
  return tensor;
}

}  // namespace

Graph llama_graph(const LlamaShape& shape) { return GraphBuilder(shape).build(); }

std::map<std::string, Weight, std::less<>> llama_constants(const LlamaShape& shape) {
  const std::int64_t positions = shape.past + shape.tokens, size = shape.width / shape.heads;
  Tensor cosine(DType::f32, {positions, size / 2}), sine(DType::f32, {positions, size / 2});
  for (std::int64_t p = 0; p < positions; ++p)
    for (std::int64_t i = 0; i < size / 2; ++i) {
      const double angle = double(p) * std::pow(shape.rotary_base, -2.0 * double(i) / double(size));
      cosine.as<float>()[std::size_t(p * (size / 2) + i)] = float(std::cos(angle));
      sine.as<float>()[std::size_t(p * (size / 2) + i)] = float(std::sin(angle));
    }
  std::vector<std::int64_t> own(std::size_t(shape.tokens), 0);
  for (std::int64_t i = 0; i < shape.tokens; ++i) own[std::size_t(i)] = shape.past + i;
  std::map<std::string, Weight, std::less<>> weights;
  weights.emplace("rotary.cosine", std::move(cosine));
  weights.emplace("rotary.sine", std::move(sine));
  weights.emplace("positions", integers(own, {1, shape.tokens}));
  weights.emplace("positions.shape", integers({shape.tokens}, {1}));
  if (shape.past > 0) weights.emplace("past.shape", integers({shape.kv_heads, shape.past, size}, {3}));
  if (!shape.every_position) {
    weights.emplace("last.begin", integers({shape.tokens - 1}, {1}));
    weights.emplace("last.end", integers({shape.tokens}, {1}));
    weights.emplace("last.axis", integers({1}, {1}));
  }
  return weights;
}

Model random_llama(const LlamaShape& shape) {
  Model model;
  model.graph = llama_graph(shape);
  model.weights = llama_constants(shape);
  const std::int64_t size = shape.width / shape.heads, shared = size * shape.kv_heads;
  std::uint64_t stream = 0;
  const auto add = [&](const std::string& name, Shape extents, double deviation) {
    model.weights.emplace(name, random_tensor(std::move(extents), deviation, shape.seed, ++stream));
  };
  const auto add_product = [&](const std::string& name, std::int64_t in, std::int64_t out) {
    add(name + ".weight", {in, out}, 1 / std::sqrt(double(in)));
  };
  const auto add_norm = [&](const std::string& name) {
    Tensor ones(DType::f32, {shape.width});
    std::ranges::fill(ones.as<float>(), 1.0f);
    model.weights.emplace(name + ".weight", std::move(ones));
  };
  add("token_embd.weight", {shape.vocabulary, shape.width}, 1);
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    const std::string block = fmt::format("blk.{}.", layer);
    add_norm(block + "attn_norm");
    add_norm(block + "ffn_norm");
    add_product(block + "attn_q", shape.width, shape.width);
    add_product(block + "attn_k", shape.width, shared);
    add_product(block + "attn_v", shape.width, shared);
    add_product(block + "attn_output", shape.width, shape.width);
    add_product(block + "ffn_gate", shape.width, shape.hidden);
    add_product(block + "ffn_up", shape.width, shape.hidden);
    add_product(block + "ffn_down", shape.hidden, shape.width);
    if (shape.past == 0) continue;
    add(block + "past_key", {1, shape.kv_heads, shape.past, size}, 1);
    add(block + "past_value", {1, shape.kv_heads, shape.past, size}, 1);
  }
  add_norm("output_norm");
  add_product("output", shape.width, shape.vocabulary);
  return model;
}

LlamaShape llama_shape(const Json& options, const std::string& where, Blame blame) {
  constexpr std::int64_t kMostLayers = 1000, kMostWidth = 1 << 20, kMostPositions = 1 << 20;
  Fields fields(options, where, blame);
  LlamaShape shape;
  shape.layers = fields.integer_or("layers", 1, kMostLayers, shape.layers);
  shape.width = fields.integer_or("width", 2, kMostWidth, shape.width);
  shape.heads = fields.integer_or("heads", 1, shape.width, shape.heads);
  shape.kv_heads = fields.integer_or("kv_heads", 1, shape.heads, shape.heads);
  shape.hidden = fields.integer_or("hidden", 1, kMostWidth, shape.hidden);
  shape.vocabulary = fields.integer_or("vocabulary", 2, kMostWidth, shape.vocabulary);
  shape.tokens = fields.integer_or("tokens", 1, kMostPositions, shape.tokens);
  shape.past = fields.integer_or("past", 0, kMostPositions, shape.past);
  shape.seed = std::uint64_t(fields.integer_or("seed", 0, (std::int64_t(1) << 31) - 1, std::int64_t(shape.seed)));
  fields.done();
  if (shape.width % (2 * shape.heads) != 0)
    fields.fail("heads", fmt::format("is {}; a width of {} needs a number of heads whose double divides it",
                                     shape.heads, shape.width));
  if (shape.heads % shape.kv_heads != 0)
    fields.fail("kv_heads", fmt::format("is {}; it must divide the {} heads", shape.kv_heads, shape.heads));
  return shape;
}

std::string to_text(const LlamaShape& shape) {
  return canonical_text(Json{{"layers", shape.layers},
                             {"width", shape.width},
                             {"heads", shape.heads},
                             {"kv_heads", shape.kv_heads},
                             {"hidden", shape.hidden},
                             {"vocabulary", shape.vocabulary},
                             {"tokens", shape.tokens},
                             {"past", shape.past},
                             {"seed", shape.seed}});
}

}  // namespace qb
