// Scaled dot-product attention: the fourth verb beside gemm(), depthwise() and convolve().
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/base/cpu.h"

namespace qb {

/// Keys and values of consecutive positions. Element e of head h at position p is key[p * key_position + h * key_head +
/// e], and value[p * value_position + h * value_head + e].
struct KeyValues {
  std::int64_t positions = 0;
  const float *key = nullptr, *value = nullptr;
  std::int64_t key_position = 0, key_head = 0, value_position = 0, value_head = 0;
};

/// y[i, h, :] = sum over j of p[j] * v[j, h', :] with p = softmax over the keys that query i sees of
///   cap(scale * dot(q[i, h, :], k[j, h', :])) + mask[h, i, j],
/// where h' = h / (heads / kv_heads), cap(z) = softcap * tanh(z / softcap) if softcap > 0, else z. Query i sees the
/// keys before position first_unseen + i, at most all. A query that sees no key, or only keys masked by -infinity,
/// gives 0.
///
/// Shapes   heads a multiple of kv_heads; all keys are those of the first part, then those of the second.
/// Errors   none: promises are checked with QB_EXPECTS. Values that are not finite give unspecified results, never a
///          crash, but for -infinity in the mask.
/// Numbers  float32, within the bound that tests/kernels/attention_test.cpp derives. A query's bits do not depend on
/// what
///          other queries hold; they may on how many there are and where it stands among them.
/// Threads  up to `threads`, split by heads and queries: the same bits at every thread count.
/// Source   Vaswani et al. (arXiv:1706.03762), section 3.2.1; heads that share keys: Ainslie et al. (arXiv:2305.13245);
///          softmax in one pass over the keys: Milakov and Gimelshein (arXiv:1805.02867).
struct AttentionCall {
  std::int64_t queries = 0, heads = 1, kv_heads = 1;
  std::int64_t key_size = 1, value_size = 1;  ///< elements of one head
  const float* q = nullptr;                   ///< q[i * q_position + h * q_head + e]
  std::int64_t q_position = 0, q_head = 0;
  KeyValues parts[2];             ///< e.g. those of a cache, then those of the queries' own positions
  std::int64_t first_unseen = 0;  ///< by query 0; all keys or more: no query is kept from any
  float scale = 1.0f, softcap = 0.0f;
  const float* mask = nullptr;  ///< mask[h * mask_head + i * mask_query + j], strides may be 0; null: none
  std::int64_t mask_head = 0, mask_query = 0;
  float* y = nullptr;  ///< y[i * y_position + h * y_head + e], overwritten
  std::int64_t y_position = 0, y_head = 0;
  int threads = 1;
};

/// Reused between calls so that a timed call allocates nothing once warm.
struct AttentionScratch {
  std::vector<std::vector<float>> workers;
  std::int64_t bytes() const;
};

/// By the best variant within `isa`; by the reference where that is Isa::none.
void attention(const AttentionCall& call, Isa isa, AttentionScratch& scratch);

}  // namespace qb
