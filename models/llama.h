// Transformers of the Llama kind, by their sizes: the graph, and a model of it with random weights.
#pragma once
#include <cstdint>
#include <string>

#include "kernels/base/json.h"
#include "models/graph.h"

namespace qb {

/// RMS normalization before attention and before a gated feed-forward network (SwiGLU), rotary positions, heads that
/// may share keys and values. Source: Touvron et al. (arXiv:2302.13971), section 2.2, and arXiv:2307.09288,
/// section 2.2.
struct LlamaShape {
  std::int64_t layers = 16, width = 1024;
  std::int64_t heads = 16, kv_heads = 16;  ///< heads divides width and is a multiple of kv_heads; width / heads is even
  std::int64_t hidden = 2816;              ///< of the feed-forward network
  std::int64_t vocabulary = 32000;
  std::int64_t tokens = 1;      ///< positions that are computed at once
  std::int64_t past = 0;        ///< positions before them, whose keys and values are weights of the model
  bool every_position = false;  ///< scores of all positions, not of the last one only
  bool interleaved = true;      ///< pairs that turn together are neighbours, as in GGUF files, else half a head apart
  double rotary_base = 10000;
  double epsilon = 1e-5;
  std::uint64_t seed = 1;  ///< of random_llama()
};

/// Input "tokens" [batch, tokens], whole numbers in float32; result [batch, vocabulary], or [batch, tokens, vocabulary]
/// of every position. Nodes and weights have the names of GGUF files (blk.0.attn_q); weights of products are [in, out].
/// Weights: all tensors of such a file, and "rotary.cosine" and "rotary.sine" [past + tokens, width / heads / 2],
/// "positions" [1, tokens] int64, and with a past "blk.0.past_key" and "blk.0.past_value" [1, kv_heads, past, width /
/// heads] of every layer.
Graph llama_graph(const LlamaShape& shape);

/// The tables and positions above.
std::map<std::string, Weight, std::less<>> llama_constants(const LlamaShape& shape);

/// Weights nearly normal with deviation 1 / sqrt(in), so that signals keep their size; the same on every machine for a
/// seed. It has learned nothing: its answers order methods by what they lose, and its times are those of any model of
/// these sizes.
Model random_llama(const LlamaShape& shape);

/// Reads the sizes from the object of a study's key "llama". Unknown keys and sizes that do not fit are errors.
LlamaShape llama_shape(const Json& options, const std::string& where, Blame blame);
std::string to_text(const LlamaShape& shape);  ///< canonical JSON with every option written out

}  // namespace qb
