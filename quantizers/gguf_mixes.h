// Mixtures of block types: which type each matrix of a model takes in a GGUF file of llama.cpp's presets.
#pragma once
#include <span>
#include <string_view>

#include "quantizers/quantizer.h"

namespace qb {

/// What a matrix does in a transformer. Others of a transformer, and all of other networks, are `other`.
enum class LayerRole : std::uint8_t {
  other,
  attention_q,
  attention_k,
  attention_v,
  attention_output,
  ffn_down,
  output,
  expert_choice,  ///< which experts work on a token
};

/// Told by the names that GGUF files, Hugging Face checkpoints and their ONNX exports use, of the node or else of the
/// weight: attn_v, v_proj, qkv_proj and so on; o_proj; ffn_down, down_proj, fc2, w2 of experts; lm_head. Products of
/// queries, keys and values in one matrix count as attention_v, the token table as output: where it is a matrix, it is
/// the output too.
LayerRole role_of(const LayerName& layer);

/// What the rules ask of a whole model.
struct AttentionAndExperts {
  /// Heads of queries that share one of keys and values: rows of the first matrix of queries over those of the first of
  /// values, or what one matrix of all three has beyond its columns (its heads being as wide as its inputs); 1 where
  /// sizes are not known.
  std::int64_t sharing = 1;
  std::int64_t experts = 1;  ///< by the numbers behind `experts`, `ffn_down` and so on
  std::int64_t blocks = 0;   ///< by the first number of names, as in `blk.3.` or `layers.3.`
};
AttentionAndExperts attention_and_experts(std::span<const LayerName> layers);

/// "q3_K_S", "q4_K_M" and so on; "q2_K_M" is the preset that llama.cpp calls Q2_K and "Q2_K - Medium".
bool is_gguf_mix(std::string_view type);

/// The block type of matrix `index` of a model in a mix; "" where presets leave it float. Where no name says output,
/// the last matrix is it.
///
/// Source: llama_tensor_get_type_impl in llama.cpp (src/llama-quant.cpp at 007dbbf); Falcon and 70B models have rules
/// of their own, which are left out.
std::string_view type_in_mix(std::string_view mix, std::span<const LayerName> layers, std::size_t index);

}  // namespace qb
