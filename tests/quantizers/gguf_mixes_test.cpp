// Which block types llama.cpp's presets give the matrices of invented models.
#include "quantizers/gguf_mixes.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>

#include "kernels/base/random.h"
#include "quantizers/methods.h"

namespace qb {
namespace {

/// Blocks of a model as GGUF files name them, and its output.
std::vector<LayerName> gguf_model(int blocks) {
  std::vector<LayerName> layers;
  for (int block = 0; block < blocks; ++block)
    for (const char* part : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"})
      layers.push_back({"", "blk." + std::to_string(block) + "." + part + ".weight"});
  layers.push_back({"", "output.weight"});
  return layers;
}

/// The blocks of a model in which matrices of this name have the type: "0,1,2".
std::string blocks_with(std::string_view mix, int blocks, const std::string& part, std::string_view type) {
  const std::vector<LayerName> layers = gguf_model(blocks);
  std::string found;
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (layers[i].weight.find("." + part + ".") != std::string::npos && type_in_mix(mix, layers, i) == type)
      found.append(found.empty() ? "" : ",").append(std::to_string(i / 7));
  return found;
}

constexpr const char* kAll8 = "0,1,2,3,4,5,6,7";

}  // namespace

TEST_CASE("names of GGUF files, checkpoints and ONNX exports tell what a matrix does") {
  using enum LayerRole;
  const std::pair<LayerName, LayerRole> cases[] = {
      {{"", "blk.3.attn_v.weight"}, attention_v},
      {{"", "blk.3.attn_qkv.weight"}, attention_v},
      {{"", "blk.3.attn_output.weight"}, attention_output},
      {{"", "blk.3.ffn_down.weight"}, ffn_down},
      {{"", "output.weight"}, output},
      {{"", "token_embd.weight"}, output},
      {{"/model/layers.0/self_attn/v_proj/MatMul", "onnx::MatMul_3204"}, attention_v},
      {{"/model/layers.0/self_attn/o_proj/MatMul", "onnx::MatMul_3205"}, attention_output},
      {{"/model/layers.11/mlp/down_proj/MatMul", "onnx::MatMul_3209"}, ffn_down},
      {{"/lm_head/MatMul", "onnx::MatMul_9"}, output},
      {{"MatMul_7", "model.layers.0.self_attn.v_proj.weight"}, attention_v},
      {{"", "transformer.h.0.attn.c_attn.weight"}, attention_v},
      {{"", "transformer.h.0.attn.c_proj.weight"}, attention_output},
      {{"", "transformer.h.0.mlp.c_proj.weight"}, ffn_down},
      {{"", "transformer.wte.weight"}, output},
      {{"", "bert.encoder.layer.0.attention.self.value.weight"}, attention_v},
      {{"", "bert.encoder.layer.0.attention.output.dense.weight"}, attention_output},
      {{"", "bert.encoder.layer.0.intermediate.dense.weight"}, other},
      {{"", "bert.encoder.layer.0.output.dense.weight"}, ffn_down},
      {{"", "gpt_neox.layers.4.attention.query_key_value.weight"}, attention_v},
      {{"", "gpt_neox.layers.4.attention.dense.weight"}, attention_output},
      {{"", "gpt_neox.layers.4.mlp.dense_4h_to_h.weight"}, ffn_down},
      {{"", "model.decoder.layers.2.fc2.weight"}, ffn_down},
      {{"", "model.decoder.layers.2.fc1.weight"}, other},
      {{"", "model.layers.0.self_attn.q_proj.weight"}, attention_q},
      {{"", "blk.3.attn_k.weight"}, attention_k},
      {{"", "blk.3.ffn_down.5.weight"}, ffn_down},
      {{"", "blk.3.ffn_gate_inp.weight"}, expert_choice},
      {{"", "model.layers.3.block_sparse_moe.gate.weight"}, expert_choice},
      {{"", "model.layers.3.block_sparse_moe.experts.7.w2.weight"}, ffn_down},
      {{"", "model.layers.3.block_sparse_moe.experts.7.w1.weight"}, other},
      {{"", "model.layers.3.mlp.experts.7.down_proj.weight"}, ffn_down},
      {{"", "model.layers.3.mlp.gate_proj.weight"}, other},
      {{"", "layer1.0.conv1.weight"}, other},
  };
  for (const auto& [layer, role] : cases) {
    INFO(layer.node, " ", layer.weight);
    CHECK(role_of(layer) == role);
  }
}

TEST_CASE("mixes favour values and projections down as llama.cpp does") {
  const char* half = "0,1,2,3,6,9,12,15,18,21,24,27,28,29,30,31";  // of 32 blocks, as in the 7B models
  for (const char* part : {"attn_v", "ffn_down"}) {
    INFO(part);
    CHECK(blocks_with("q4_K_M", 32, part, "q6_K") == half);
    CHECK(blocks_with("q5_K_M", 32, part, "q6_K") == half);
    CHECK(blocks_with("q4_K_S", 32, part, "q5_K") == "0,1,2,3");
    CHECK(blocks_with("q5_K_S", 8, part, "q5_K") == kAll8);
    CHECK(blocks_with("q3_K_S", 8, part, "q3_K") == kAll8);
    CHECK(blocks_with("q3_K_L", 8, part, "q5_K") == kAll8);
  }
  CHECK(blocks_with("q4_K_M", 8, "attn_v", "q6_K") == "0,3,6,7");
  CHECK(blocks_with("q4_K_S", 8, "attn_v", "q5_K") == "0,1,2,3");
  CHECK(blocks_with("q4_K_S", 8, "ffn_down", "q5_K") == "0");
  CHECK(blocks_with("q3_K_M", 8, "attn_v", "q5_K") == "0,1");
  CHECK(blocks_with("q3_K_M", 8, "attn_v", "q4_K") == "2,3,4,5,6,7");
  CHECK(blocks_with("q3_K_M", 32, "ffn_down", "q5_K") == "0,1");
  CHECK(blocks_with("q3_K_M", 8, "ffn_down", "q4_K") == kAll8);
  CHECK(blocks_with("q3_K_M", 8, "attn_output", "q4_K") == kAll8);
  CHECK(blocks_with("q3_K_L", 8, "attn_output", "q5_K") == kAll8);
  CHECK(blocks_with("q4_K_M", 8, "attn_output", "q4_K") == kAll8);
  CHECK(blocks_with("q2_K_S", 8, "attn_v", "q2_K") == kAll8);
  CHECK(blocks_with("q2_K_S", 8, "ffn_down", "q4_K") == "0");
  for (const char* part : {"attn_q", "attn_k", "ffn_gate", "ffn_up"})
    CHECK(blocks_with("q4_K_M", 8, part, "q4_K") == kAll8);
}

namespace {

/// Blocks with heads of 16 and as many rows as heads need, and experts where there are more than one.
std::vector<LayerName> grouped_model(int blocks, std::int64_t heads, std::int64_t value_heads, int experts) {
  const std::int64_t width = heads * 16, shared = value_heads * 16;
  std::vector<LayerName> layers;
  for (int block = 0; block < blocks; ++block) {
    const std::string begin = "model.layers." + std::to_string(block) + ".";
    layers.push_back({"", begin + "self_attn.q_proj.weight", width, width});
    layers.push_back({"", begin + "self_attn.k_proj.weight", shared, width});
    layers.push_back({"", begin + "self_attn.v_proj.weight", shared, width});
    layers.push_back({"", begin + "self_attn.o_proj.weight", width, width});
    if (experts == 1) {
      layers.push_back({"", begin + "mlp.down_proj.weight", width, 4 * width});
      continue;
    }
    layers.push_back({"", begin + "block_sparse_moe.gate.weight", experts, width});
    for (int expert = 0; expert < experts; ++expert)
      for (const char* part : {".w1.weight", ".w2.weight", ".w3.weight"})
        layers.push_back({"", begin + "block_sparse_moe.experts." + std::to_string(expert) + part, width, width});
  }
  layers.push_back({"", "lm_head.weight", 1000, width});
  return layers;
}

std::string type_of(std::string_view mix, const std::vector<LayerName>& layers, const std::string& name) {
  const auto found = std::ranges::find_if(
      layers, [&](const LayerName& layer) { return layer.weight.find(name) != std::string::npos; });
  REQUIRE(found != layers.end());
  return std::string(type_in_mix(mix, layers, std::size_t(found - layers.begin())));
}

}  // namespace

TEST_CASE("sizes tell how many heads share their keys and values, numbers how many experts there are") {
  CHECK(attention_and_experts(grouped_model(2, 8, 8, 1)).sharing == 1);
  CHECK(attention_and_experts(grouped_model(2, 8, 2, 1)).sharing == 4);
  CHECK(attention_and_experts(grouped_model(3, 32, 8, 8)).experts == 8);
  CHECK(attention_and_experts(grouped_model(3, 32, 8, 8)).blocks == 3);
  CHECK(attention_and_experts(gguf_model(8)).sharing == 1);
  CHECK(attention_and_experts(gguf_model(8)).experts == 1);
  // Queries, keys and values in one matrix: 32 heads of 128 with as many, and with 8, of the others.
  const auto merged = [](std::int64_t rows) {
    return attention_and_experts(std::vector<LayerName>{{"", "blk.0.attn_qkv.weight", rows, 4096}}).sharing;
  };
  CHECK(merged(3 * 4096) == 1);
  CHECK(merged(4096 + 2 * 1024) == 4);
  CHECK(merged(4096) == 1);
  const std::vector<LayerName> old = {{"", "blk.0.ffn_down.0.weight"}, {"", "blk.0.ffn_down.3.weight"}};
  CHECK(attention_and_experts(old).experts == 4);
}

TEST_CASE("the mix of two bits heeds heads that share their values") {
  const std::vector<LayerName> alone = grouped_model(8, 8, 8, 1), shared = grouped_model(8, 8, 2, 1);
  for (const std::vector<LayerName>& layers : {alone, shared}) {
    CHECK(type_of("q2_K_M", layers, "0.self_attn.q_proj") == "q2_K");
    CHECK(type_of("q2_K_M", layers, "0.self_attn.k_proj") == "q2_K");
    CHECK(type_of("q2_K_M", layers, "0.self_attn.o_proj") == "q3_K");
    CHECK(type_of("q2_K_M", layers, "7.mlp.down_proj") == "q3_K");
    CHECK(type_of("q2_K_M", layers, "lm_head") == "q6_K");
    CHECK(type_of("q4_K_M", layers, "1.self_attn.v_proj") == "q4_K");
  }
  CHECK(type_of("q2_K_M", alone, "5.self_attn.v_proj") == "q3_K");
  CHECK(type_of("q2_K_M", shared, "5.self_attn.v_proj") == "q4_K");
  CHECK(type_of("q2_K_S", alone, "5.self_attn.v_proj") == "q2_K");
  CHECK(type_of("q2_K_S", shared, "5.self_attn.v_proj") == "q4_K");
}

TEST_CASE("eight experts raise what is small beside them, and stand in the place of their block") {
  const std::vector<LayerName> eight = grouped_model(16, 32, 8, 8), four = grouped_model(16, 32, 8, 4);
  for (const std::string mix :
       {"q2_K_S", "q2_K_M", "q3_K_S", "q3_K_M", "q3_K_L", "q4_K_S", "q4_K_M", "q5_K_S", "q5_K_M"}) {
    INFO(mix);
    CHECK(type_of(mix, eight, "9.self_attn.v_proj") == "q8_0");
    CHECK(type_of(mix, eight, "9.self_attn.k_proj") == "q8_0");
    CHECK(type_of(mix, four, "9.self_attn.k_proj") == mix.substr(0, 4));
    CHECK(type_of(mix, eight, "9.self_attn.q_proj") == mix.substr(0, 4));
    CHECK(type_of(mix, eight, "9.block_sparse_moe.gate") == "");
    const bool raised = mix == "q2_K_M" || mix == "q3_K_S" || mix == "q3_K_M" || mix == "q4_K_S" || mix == "q4_K_M";
    CHECK(type_of(mix, eight, "9.self_attn.o_proj") == (raised ? "q5_K" : mix.substr(0, 4)));
  }
  CHECK(type_of("q3_K_M", four, "9.self_attn.o_proj") == "q4_K");
  // 16 blocks: the first two, the last two, and every third from the fifth on.
  for (const int block : {0, 1, 4, 7, 10, 13, 14, 15}) {
    const std::string begin = "layers." + std::to_string(block) + ".block_sparse_moe.experts.";
    CHECK(type_of("q4_K_M", four, begin + "0.w2") == "q6_K");
    CHECK(type_of("q4_K_M", four, begin + "3.w2") == "q6_K");
    CHECK(type_of("q4_K_M", four, begin + "3.w1") == "q4_K");
  }
  CHECK(type_of("q4_K_M", four, "layers.5.block_sparse_moe.experts.3.w2") == "q4_K");
  CHECK(type_of("q4_K_S", four, "layers.1.block_sparse_moe.experts.3.w2") == "q5_K");
  CHECK(type_of("q4_K_S", four, "layers.2.block_sparse_moe.experts.0.w2") == "q4_K");
}

TEST_CASE("the choice among experts stays float and says why") {
  const std::vector<LayerName> layers = grouped_model(1, 8, 8, 8);
  const std::vector<float> weights(2 * 256, 0.5f);
  const QuantSpec spec = parse_quant_spec("gguf:q4_K_M");
  const LayerProblem gate{{weights.data(), 2, 256, 256}, "gate", nullptr, 1, layers, 4};
  CHECK_THROWS_WITH_AS(find_quantizer("gguf")->quantize(gate, spec), "'q4_K_M' leaves the choice among experts float",
                       Unsupported);
}

TEST_CASE("the output takes 6 bits: by its name, or else the last matrix") {
  std::vector<LayerName> layers = gguf_model(2);
  CHECK(type_in_mix("q3_K_S", layers, layers.size() - 1) == "q6_K");
  layers.insert(layers.begin(), layers.back());
  layers.pop_back();
  CHECK(type_in_mix("q3_K_S", layers, 0) == "q6_K");
  CHECK(type_in_mix("q3_K_S", layers, layers.size() - 1) == "q3_K");
  const std::vector<LayerName> network = {{"conv1", "w1"}, {"conv2", "w2"}, {"fc", "w3"}};
  CHECK(type_in_mix("q4_K_M", network, 1) == "q4_K");
  CHECK(type_in_mix("q4_K_M", network, 2) == "q6_K");
}

TEST_CASE("a mix stores each matrix as its type alone would, and gives way where rows are no whole blocks") {
  const std::vector<LayerName> layers = gguf_model(8);
  Random random(1);
  std::vector<float> weights(2 * 512);
  for (float& weight : weights) weight = float(random.normal());
  const auto stored = [&](const std::string& text, std::size_t index, std::int64_t k) {
    const QuantSpec spec = parse_quant_spec(text);
    return find_quantizer(spec.method)->quantize({{weights.data(), 2, k, k}, "", nullptr, 1, layers, index}, spec);
  };
  CHECK(stored("gguf:q4_K_M", 2, 512).digest == stored("gguf:q6_K", 2, 512).digest);
  CHECK(stored("gguf:q4_K_M", 0, 512).digest == stored("gguf:q4_K", 0, 512).digest);
  CHECK(stored("gguf:q4_K_M", 2, 96).digest == stored("gguf:q8_0", 2, 96).digest);
  CHECK(stored("gguf:q4_K_M", layers.size() - 1, 96).digest == stored("gguf:q8_0", 2, 96).digest);
  CHECK(stored("gguf:q3_K_S", 0, 96).digest == stored("gguf:q4_0", 0, 96).digest);
  CHECK(to_text(parse_quant_spec("gguf:q4_K_M-a8")) == "gguf:q4_K_M-a8");
}

TEST_CASE("quantizing a model by a mix tells each matrix its place, also beside those that are skipped") {
  Model model;
  model.name = "chain";
  model.graph.opset = 13;
  model.graph.inputs = {{"x0", DType::f32, {-1, 256}}};
  Random random(2);
  constexpr std::string_view kNames[] = {"attn_q", "attn_v", "ffn_down", "final"};
  for (std::size_t i = 0; i < std::size(kNames); ++i) {
    Tensor weights(DType::f32, {256, 256});
    for (float& weight : weights.as<float>()) weight = float(0.05 * random.normal());
    const std::string name(kNames[i]), in = "x" + std::to_string(i), out = "x" + std::to_string(i + 1);
    model.weights.emplace(name + ".weight", std::move(weights));
    model.graph.nodes.push_back({name, "MatMul", {in, name + ".weight"}, {out}, {}, std::nullopt});
  }
  model.graph.outputs = {"x4"};
  check_graph(model);
  const QuantizedModel all = quantize_model(model, parse_quant_spec("gguf:q4_K_S"), {}, 1);
  const QuantizedModel most = quantize_model(model, parse_quant_spec("gguf:q4_K_S@skip=first"), {}, 1);
  constexpr std::string_view kFormats[] = {"q4g32o.i6", "q5g32o.i6", "q4g32o.i6", "q6g16.i8"};
  for (std::size_t i = 0; i < std::size(kFormats); ++i) {
    CHECK(all.layers[i].format == kFormats[i]);
    CHECK(most.layers[i].format == (i == 0 ? "f32" : kFormats[i]));
  }
}

}  // namespace qb
