// How attention is computed under a set of instructions.
#pragma once
#include <string_view>

#include "kernels/attention/attention.h"
#include "kernels/base/cpu.h"

namespace qb {

struct AttentionVariant {
  std::string_view name;
  Isa needs = Isa::none;
  AttentionFn run = nullptr;
};

AttentionVariant best_attention(Isa isa);  ///< the best variant within `isa`

}  // namespace qb
