#include "quantizers/gguf_mixes.h"

#include <algorithm>
#include <array>
#include <string>

#include "kernels/base/error.h"

namespace qb {
namespace {

struct RoleName {
  std::string_view words;  ///< whole words of a name, with a dot before, between and behind them
  LayerRole role;
};
/// The first that occurs decides.
constexpr std::array kRoleNames = {
    RoleName{".lm_head.", LayerRole::output},
    RoleName{".embed_out.", LayerRole::output},
    RoleName{".token_embd.", LayerRole::output},
    RoleName{".embed_tokens.", LayerRole::output},
    RoleName{".wte.", LayerRole::output},
    RoleName{".word_embeddings.", LayerRole::output},
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
    RoleName{".down_proj.", LayerRole::ffn_down},
    RoleName{".fc2.", LayerRole::ffn_down},
    RoleName{".fc_out.", LayerRole::ffn_down},
    RoleName{".dense_4h_to_h.", LayerRole::ffn_down},
    RoleName{".mlp.c_proj.", LayerRole::ffn_down},
    RoleName{".ffn.lin2.", LayerRole::ffn_down},
    RoleName{".output.dense.", LayerRole::ffn_down},
};

LayerRole role_of_name(std::string_view name) {
  if (name == "output.weight" || name == "output") return LayerRole::output;
  std::string words = ".";
  for (const char c : name) words += c == '/' || c == ':' ? '.' : c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  words += '.';
  for (const RoleName& known : kRoleNames)
    if (words.find(known.words) != std::string::npos) return known.role;
  return LayerRole::other;
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

std::string_view type_of_value(std::string_view mix, std::string_view base, const Place& place) {
  if (mix == "q3_K_M") return place.index < 2 ? "q5_K" : "q4_K";
  if (mix == "q3_K_L") return "q5_K";
  if (mix == "q4_K_S") return place.index < 4 ? "q5_K" : base;
  if (mix == "q4_K_M" || mix == "q5_K_M") return place.is_favoured() ? "q6_K" : base;
  return base;
}

std::string_view type_of_down(std::string_view mix, std::string_view base, const Place& place) {
  if (mix == "q2_K_S") return place.in_first(8) ? "q4_K" : base;
  if (mix == "q3_K_M") return place.in_first(16) ? "q5_K" : "q4_K";
  if (mix == "q3_K_L") return "q5_K";
  if (mix == "q4_K_S") return place.in_first(8) ? "q5_K" : base;
  if (mix == "q4_K_M" || mix == "q5_K_M") return place.is_favoured() ? "q6_K" : base;
  return base;
}

}  // namespace

LayerRole role_of(const LayerName& layer) {
  const LayerRole role = role_of_name(layer.node);
  return role == LayerRole::other ? role_of_name(layer.weight) : role;
}

bool is_gguf_mix(std::string_view type) {
  return type.size() == 6 && type.substr(2, 3) == "_K_";  // block types end with the K
}

std::string_view type_in_mix(std::string_view mix, std::span<const LayerName> layers, std::size_t index) {
  QB_EXPECTS(is_gguf_mix(mix) && index < layers.size());
  std::vector<LayerRole> roles;
  for (const LayerName& layer : layers) roles.push_back(role_of(layer));
  if (std::find(roles.begin(), roles.end(), LayerRole::output) == roles.end()) roles.back() = LayerRole::output;
  const LayerRole role = roles[index];
  const auto here = roles.begin() + std::ptrdiff_t(index);
  const Place place{std::size_t(std::count(roles.begin(), here, role)),
                    std::size_t(std::count(roles.begin(), roles.end(), role))};
  const std::string_view base = mix.substr(0, 4);
  switch (role) {
    case LayerRole::output: return "q6_K";
    case LayerRole::attention_v: return type_of_value(mix, base, place);
    case LayerRole::ffn_down: return type_of_down(mix, base, place);
    case LayerRole::attention_output: return mix == "q3_K_M" ? "q4_K" : mix == "q3_K_L" ? "q5_K" : base;
    case LayerRole::other: break;
  }
  return base;
}

}  // namespace qb
