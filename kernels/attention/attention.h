// Attention of some queries: what the variants of kernels/attention compute.
//
// Deliberately without member functions: this header is compiled under every instruction-set flag.
#pragma once
#include <cstdint>

namespace qb {

inline constexpr std::int64_t kAttentionQueries = 64;  ///< of one AttentionArgs, at most

/// Keys and values of one head in one run of positions; elements of a position lie side by side.
struct AttentionKeys {
  std::int64_t positions;
  const float *key, *value;
  std::int64_t key_stride, value_stride;  ///< between positions
};

/// As AttentionCall (kernels/attention.h), for queries [0, queries) that share keys: of one head, or one query of
/// several heads.
struct AttentionArgs {
  std::int64_t queries, key_size, value_size;
  const float* q;
  std::int64_t q_stride;
  AttentionKeys parts[2];
  std::int64_t first_unseen, unseen_step;  ///< query i sees the keys before first_unseen + i * unseen_step (0 or 1)
  float scale, softcap;
  const float* mask;  ///< mask[i * mask_stride + j], or null
  std::int64_t mask_stride;
  float* y;
  std::int64_t y_stride;
  float* scratch;  ///< attention_scratch() floats (variants.h), 64-byte aligned; the reference needs none
};
using AttentionFn = void (*)(const AttentionArgs&);

/// Numbers    float32; variants agree with the reference, which sums in float64, as tests/kernels/attention_test.cpp
///            says. A query's result depends on how many queries there are and on its place among them (a few are
///            computed in another order than many), not on what the others hold.
/// Memory     variants allocate nothing, the reference sums of one query.
/// Threads    reentrant.
void attention_ref(const AttentionArgs& args);
void attention_avx2(const AttentionArgs& args);
void attention_avx512(const AttentionArgs& args);
void attention_neon(const AttentionArgs& args);

}  // namespace qb
