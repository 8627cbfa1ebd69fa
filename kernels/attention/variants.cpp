#include "kernels/attention/variants.h"

namespace qb {

std::span<const AttentionVariant> attention_variants() {
  static constexpr AttentionVariant kVariants[] = {
    {"attention_ref", Isa::none, attention_ref, 1},
#if defined(__x86_64__)
    {"attention_avx2", Isa::avx2, attention_avx2, 4},
    {"attention_avx512", Isa::avx2 | Isa::avx512, attention_avx512, 8},
#elif defined(__aarch64__)
    {"attention_neon", Isa::neon, attention_neon, 4},
#endif
  };
  return kVariants;
}

const AttentionVariant& best_attention(Isa isa) {
  const std::span<const AttentionVariant> all = attention_variants();
  const AttentionVariant* best = &all.front();
  for (const AttentionVariant& variant : all)
    if (includes(isa, variant.needs)) best = &variant;
  return *best;
}

std::int64_t attention_scratch(std::int64_t key_size, std::int64_t value_size) {
  constexpr std::int64_t kLanes = 16, kBlockLines = 96, kQueryLines = 3;  // of the widest variant
  return kAttentionQueries * (2 * (key_size + value_size + kLanes) + kBlockLines + kQueryLines);
}

}  // namespace qb
