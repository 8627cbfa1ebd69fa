// Attention by somebody else's matrix products, which only quantbench-kernels uses.
#pragma once
#include <vector>

#include "kernels/attention.h"

namespace qb {

bool has_openblas();  ///< whether it was compiled in

/// Attention as it is composed where there is no kernel for it: per head OpenBLAS multiplies queries and keys, each row
/// of scores becomes weights by std::exp, and OpenBLAS multiplies these and values. Threads take heads. `scores` is
/// kept between calls. For calls without mask, softcap and second part; does nothing where !has_openblas(). Throws
/// Unsupported when the library cannot be loaded.
void attention_openblas(const AttentionCall& call, std::vector<std::vector<float>>& scores);

}  // namespace qb
