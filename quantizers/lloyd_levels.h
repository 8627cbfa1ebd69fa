// The levels with the least expected squared error for values of a known distribution.
#pragma once
#include <vector>

#include "quantizers/clip_formulas.h"

namespace qb {

/// 2^bits levels in rising order, symmetric about 0, for a distribution of mean 0 and variance 1: each level is the
/// mean of the values that are nearest to it. Both densities are log-concave, so that only one set of levels meets
/// this. 1 to 8 bits. Source: Max 1960, Quantizing for Minimum Distortion, IRE Trans. Inform. Theory 6(1); Lloyd 1982
/// (doi:10.1109/TIT.1982.1056489).
std::vector<double> lloyd_levels(Prior prior, int bits);

}  // namespace qb
