// Mixtures of block types: which type each matrix of a model takes in a GGUF file of llama.cpp's presets.
#pragma once
#include <span>
#include <string_view>

#include "quantizers/quantizer.h"

namespace qb {

/// What a matrix does in a transformer. Others of a transformer, and all of other networks, are `other`.
enum class LayerRole : std::uint8_t { other, attention_v, attention_output, ffn_down, output };

/// Told by the names that GGUF files, Hugging Face checkpoints and their ONNX exports use, of the node or else of the
/// weight: attn_v, v_proj, qkv_proj and so on; o_proj; ffn_down, down_proj, fc2; lm_head. Products of queries, keys and
/// values in one matrix count as attention_v, the token table as output: where it is a matrix, it is the output too.
LayerRole role_of(const LayerName& layer);

/// "q3_K_S", "q4_K_M" and so on.
bool is_gguf_mix(std::string_view type);

/// The block type of matrix `index` of a model in a mix. Where no name says output, the last matrix is it.
///
/// Source: llama_tensor_get_type_impl in llama.cpp (src/llama-quant.cpp at 007dbbf), for models with as many key heads
/// as query heads and without experts; Falcon and 70B models have rules of their own, which are left out.
std::string_view type_in_mix(std::string_view mix, std::span<const LayerName> layers, std::size_t index);

}  // namespace qb
