#include "quantizers/gguf_mixes.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "kernels/base/error.h"
#include "kernels/base/text.h"

namespace qb {
namespace {

struct RoleName {
  std::string_view words;  ///< whole words of a name, with a dot before, between and behind them
  LayerRole role;
};
/// The first that occurs decides.
constexpr std::array kRoleNames = {
    RoleName{".ffn_gate_inp.", LayerRole::expert_choice},
    RoleName{".block_sparse_moe.gate.", LayerRole::expert_choice},
    RoleName{".lm_head.", LayerRole::output},
    RoleName{".embed_out.", LayerRole::output},
    RoleName{".token_embd.", LayerRole::output},
    RoleName{".embed_tokens.", LayerRole::output},
    RoleName{".wte.", LayerRole::output},
    RoleName{".word_embeddings.", LayerRole::output},
    RoleName{".attn_q.", LayerRole::attention_q},
    RoleName{".q_proj.", LayerRole::attention_q},
    RoleName{".q_lin.", LayerRole::attention_q},
    RoleName{".self.query.", LayerRole::attention_q},
    RoleName{".attention.query.", LayerRole::attention_q},
    RoleName{".attn_k.", LayerRole::attention_k},
    RoleName{".k_proj.", LayerRole::attention_k},
    RoleName{".k_lin.", LayerRole::attention_k},
    RoleName{".self.key.", LayerRole::attention_k},
    RoleName{".attention.key.", LayerRole::attention_k},
    RoleName{".attn_v.", LayerRole::attention_v},
    RoleName{".attn_qkv.", LayerRole::attention_v},
    RoleName{".attn_kv_b.", LayerRole::attention_v},
    RoleName{".v_proj.", LayerRole::attention_v},
    RoleName{".v_lin.", LayerRole::attention_v},
    RoleName{".qkv_proj.", LayerRole::attention_v},
    RoleName{".qkv.", LayerRole::attention_v},
    RoleName{".wqkv.", LayerRole::attention_v},
    RoleName{".c_attn.", LayerRole::attention_v},
    RoleName{".query_key_value.", LayerRole::attention_v},
    RoleName{".kv_b_proj.", LayerRole::attention_v},
    RoleName{".self.value.", LayerRole::attention_v},
    RoleName{".attention.value.", LayerRole::attention_v},
    RoleName{".attn_output.", LayerRole::attention_output},
    RoleName{".o_proj.", LayerRole::attention_output},
    RoleName{".out_proj.", LayerRole::attention_output},
    RoleName{".out_lin.", LayerRole::attention_output},
    RoleName{".attn.c_proj.", LayerRole::attention_output},
    RoleName{".attn.proj.", LayerRole::attention_output},
    RoleName{".attention.dense.", LayerRole::attention_output},
    RoleName{".self_attention.dense.", LayerRole::attention_output},
    RoleName{".attention.output.dense.", LayerRole::attention_output},
    RoleName{".ffn_down.", LayerRole::ffn_down},
    RoleName{".ffn_down_exps.", LayerRole::ffn_down},
    RoleName{".ffn_down_shexp.", LayerRole::ffn_down},
    RoleName{".down_proj.", LayerRole::ffn_down},
    RoleName{".fc2.", LayerRole::ffn_down},
    RoleName{".fc_out.", LayerRole::ffn_down},
    RoleName{".dense_4h_to_h.", LayerRole::ffn_down},
    RoleName{".mlp.c_proj.", LayerRole::ffn_down},
    RoleName{".ffn.lin2.", LayerRole::ffn_down},
    RoleName{".output.dense.", LayerRole::ffn_down},
};

/// The words of a name in small letters, with a dot before, between and behind them.
std::string words_of(std::string_view name) {
  std::string words = ".";
  for (const char c : name) words += c == '/' || c == ':' ? '.' : c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  return words += '.';
}

LayerRole role_of_name(std::string_view name) {
  if (name == "output.weight" || name == "output") return LayerRole::output;
  const std::string words = words_of(name);
  for (const RoleName& known : kRoleNames)
    if (words.find(known.words) != std::string::npos) return known.role;
  const bool in_expert = words.find(".experts.") != std::string::npos;
  return in_expert && words.find(".w2.") != std::string::npos ? LayerRole::ffn_down : LayerRole::other;
}

constexpr std::int64_t kMostNumber = 1'000'000;  // of blocks and experts; larger ones are no numbers of that kind

/// The number that is the whole word at the beginning of `words`.
std::optional<std::int64_t> leading_number(std::string_view words) {
  const auto number = parse_int(words.substr(0, words.find('.')));
  return number && *number >= 0 && *number < kMostNumber ? number : std::nullopt;
}

/// The first number among the words of a name.
std::optional<std::int64_t> block_of(const LayerName& layer) {
  for (const std::string& name : {layer.node, layer.weight}) {
    const std::string words = words_of(name);
    for (std::size_t dot = words.find('.'); dot + 1 < words.size(); dot = words.find('.', dot + 1))
      if (const auto number = leading_number(std::string_view(words).substr(dot + 1))) return number;
  }
  return std::nullopt;
}

std::optional<std::int64_t> expert_of(const LayerName& layer) {
  for (const std::string& name : {layer.node, layer.weight}) {
    const std::string words = words_of(name);
    for (const std::string_view before : {".experts.", ".ffn_down.", ".ffn_gate.", ".ffn_up."})
      if (const std::size_t at = words.find(before); at != std::string::npos)
        if (const auto number = leading_number(std::string_view(words).substr(at + before.size()))) return number;
  }
  return std::nullopt;
}

const LayerName* first_with(std::span<const LayerName> layers, LayerRole role) {
  const auto found = std::ranges::find(layers, role, [](const LayerName& layer) { return role_of(layer); });
  return found == layers.end() ? nullptr : &*found;
}

/// The place of a matrix among those of its role, and their number.
struct Place {
  std::size_t index = 0, count = 0;

  bool in_first(std::size_t part) const { return index < count / part; }
  /// The first and the last eighth, and every third between them.
  bool is_favoured() const {
    return in_first(8) || index >= 7 * count / 8 || (index >= count / 8 && (index - count / 8) % 3 == 2);
  }
};

std::string_view type_of_value(std::string_view mix, const AttentionAndExperts& model, const Place& place) {
  const std::string_view base = mix.substr(0, 4);
  if (model.experts == 8) return "q8_0";
  if (mix == "q2_K_M") return model.sharing >= 4 ? "q4_K" : "q3_K";
  if (mix == "q2_K_S") return model.sharing >= 4 ? "q4_K" : base;
  if (mix == "q3_K_M") return place.index < 2 ? "q5_K" : "q4_K";
  if (mix == "q3_K_L") return "q5_K";
  if (mix == "q4_K_S") return place.index < 4 ? "q5_K" : base;
  if (mix == "q4_K_M" || mix == "q5_K_M") return place.is_favoured() ? "q6_K" : base;
  return base;
}

std::string_view type_of_down(std::string_view mix, const Place& place) {
  const std::string_view base = mix.substr(0, 4);
  if (mix == "q2_K_M") return "q3_K";
  if (mix == "q2_K_S") return place.in_first(8) ? "q4_K" : base;
  if (mix == "q3_K_M") return place.in_first(16) ? "q5_K" : "q4_K";
  if (mix == "q3_K_L") return "q5_K";
  if (mix == "q4_K_S") return place.in_first(8) ? "q5_K" : base;
  if (mix == "q4_K_M" || mix == "q5_K_M") return place.is_favoured() ? "q6_K" : base;
  return base;
}

std::string_view type_of_attention_output(std::string_view mix, const AttentionAndExperts& model) {
  const std::string_view base = mix.substr(0, 4);
  if (model.experts == 8) {
    constexpr std::array<std::string_view, 5> kRaised = {"q2_K_M", "q3_K_S", "q3_K_M", "q4_K_S", "q4_K_M"};
    return std::ranges::find(kRaised, mix) != kRaised.end() ? "q5_K" : base;
  }
  if (mix == "q2_K_M") return "q3_K";
  if (mix == "q3_K_M") return "q4_K";
  return mix == "q3_K_L" ? "q5_K" : base;
}

}  // namespace

LayerRole role_of(const LayerName& layer) {
  const LayerRole role = role_of_name(layer.node);
  return role == LayerRole::other ? role_of_name(layer.weight) : role;
}

bool is_gguf_mix(std::string_view type) {
  return type.size() == 6 && type.substr(2, 3) == "_K_";  // block types end with the K
}

AttentionAndExperts attention_and_experts(std::span<const LayerName> layers) {
  AttentionAndExperts model;
  for (const LayerName& layer : layers) {
    model.experts = std::max(model.experts, expert_of(layer).value_or(0) + 1);
    model.blocks = std::max(model.blocks, block_of(layer).value_or(-1) + 1);
  }
  const LayerName *queries = first_with(layers, LayerRole::attention_q),
                  *values = first_with(layers, LayerRole::attention_v);
  if (values == nullptr || values->rows == 0) return model;
  const std::int64_t heads = queries ? queries->rows : values->columns;
  const std::int64_t shared = queries ? values->rows : (values->rows - values->columns) / 2;
  if (shared > 0) model.sharing = std::max<std::int64_t>(1, heads / shared);
  return model;
}

std::string_view type_in_mix(std::string_view mix, std::span<const LayerName> layers, std::size_t index) {
  QB_EXPECTS(is_gguf_mix(mix) && index < layers.size());
  std::vector<LayerRole> roles;
  for (const LayerName& layer : layers) roles.push_back(role_of(layer));
  if (std::find(roles.begin(), roles.end(), LayerRole::output) == roles.end()) roles.back() = LayerRole::output;
  const LayerRole role = roles[index];
  const auto here = roles.begin() + std::ptrdiff_t(index);
  Place place{std::size_t(std::count(roles.begin(), here, role)),
              std::size_t(std::count(roles.begin(), roles.end(), role))};
  const AttentionAndExperts model = attention_and_experts(layers);
  // All experts of a block stand in its place.
  if (const auto block = block_of(layers[index]); model.experts > 1 && role == LayerRole::ffn_down && block)
    place = {std::size_t(*block), std::size_t(model.blocks)};
  switch (role) {
    case LayerRole::output: return "q6_K";
    case LayerRole::expert_choice: return "";
    case LayerRole::attention_k: return model.experts == 8 ? "q8_0" : mix.substr(0, 4);
    case LayerRole::attention_v: return type_of_value(mix, model, place);
    case LayerRole::ffn_down: return type_of_down(mix, place);
    case LayerRole::attention_output: return type_of_attention_output(mix, model);
    case LayerRole::attention_q:
    case LayerRole::other: break;
  }
  return mix.substr(0, 4);
}

}  // namespace qb
