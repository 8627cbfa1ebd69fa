// The scale search of the types whose codes name the levels of kIq4NlLevels.
#pragma once
#include <cstdint>
#include <span>

namespace qb {

/// The code of the level nearest to x; of two equally near the upper one, unlike nearest_level().
std::uint8_t nearest_iq4nl(float x);

/// Error weights: importance * sqrt(variance + x^2), or x^2 without importances.
void level_weights(std::span<const float> x, const float* importance, float variance, float* weights);

/// The scale for which the weighted squared error of x ~ level * scale is least: that of the first guess, which maps
/// the maximum to -first_level (or for tries = 0 to first_level itself, the first level being -127), then of scales
/// that map it to first_level - tries ... first_level + tries. 0 when all x are negligible (kNegligible).
float fit_levels(std::span<const float> x, const float* weights, int tries);

}  // namespace qb
