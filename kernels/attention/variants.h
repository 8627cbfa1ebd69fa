// How attention is computed under a set of instructions.
#pragma once
#include <span>
#include <string_view>

#include "kernels/attention/attention.h"
#include "kernels/base/cpu.h"

namespace qb {

struct AttentionVariant {
  std::string_view name;
  Isa needs = Isa::none;
  AttentionFn run = nullptr;
  std::int64_t few_queries = 1;  ///< up to so many are computed one by one from keys that are read once
};

/// All that are compiled in: the reference first, then rising preference.
std::span<const AttentionVariant> attention_variants();
const AttentionVariant& best_attention(Isa isa);  ///< the best variant within `isa`

std::int64_t attention_scratch(std::int64_t key_size,
                               std::int64_t value_size);  ///< floats that every variant is content with

}  // namespace qb
