#include "kernels/attention/variants.h"

namespace qb {

AttentionVariant best_attention([[maybe_unused]] Isa isa) { return {"attention_ref", Isa::none, attention_ref}; }

}  // namespace qb
