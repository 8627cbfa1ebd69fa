// Attention of some queries of one head: what the variants of kernels/attention compute.
//
// Deliberately without member functions: this header is compiled under every instruction-set flag.
#pragma once
#include <cstdint>

namespace qb {

/// Keys and values of one head in one run of positions; elements of a position lie side by side.
struct AttentionKeys {
  std::int64_t positions;
  const float *key, *value;
  std::int64_t key_stride, value_stride;  ///< between positions
};

/// As AttentionCall (kernels/attention.h), for queries [0, queries) of one head.
struct AttentionArgs {
  std::int64_t queries, key_size, value_size;
  const float* q;
  std::int64_t q_stride;
  AttentionKeys parts[2];
  std::int64_t first_unseen;  ///< by query 0; query i sees the keys before first_unseen + i
  float scale, softcap;
  const float* mask;  ///< mask[i * mask_stride + j], or null
  std::int64_t mask_stride;
  float* y;
  std::int64_t y_stride;
  float* scratch;  ///< for the variant
};
using AttentionFn = void (*)(const AttentionArgs&);

/// Numbers    float32; variants agree with the reference, which sums in float64, as tests/kernels/attention_test.cpp
/// says. A query's
///            result does not depend on the other queries of the call.
/// Threads    reentrant.
void attention_ref(const AttentionArgs& args);

}  // namespace qb
