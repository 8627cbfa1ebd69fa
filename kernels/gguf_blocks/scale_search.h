// How ggml chooses the scales of a group of weights: short searches over scales around the obvious one, each followed
// by a weighted least-squares fit for the codes that it gives.
//
// All arithmetic is float32 from left to right, because the bytes of the block types depend on every rounding.
// Source: ggml-org/ggml at d99724f2, ggml-quants.c.
#pragma once
#include <cstdint>
#include <span>

namespace qb {

/// Groups without a larger magnitude are stored as zeros.
inline constexpr float kNegligible = 1e-15f;

/// The nearest integer, ties to even, for |x| < 2^22; other x give some integer in [-2^22, 2^22).
int nearest_int(float x);

/// `x` without its fraction, kept within [low, high]; NaN gives `low`.
int truncated(float x, int low, int high);

/// The value of largest magnitude, the first of equals; 0 for none.
float signed_maximum(std::span<const float> x);
float largest_magnitude(std::span<const float> x);

/// Weights of the squared errors of a group with importances: importance * sqrt(variance + x^2).
void importance_weights(std::span<const float> x, const float* importance, float variance, float* weights);
float sum_of_squares(std::span<const float> x);

/// Fits x ~ scale * (code - limit) with codes in [0, 2 * limit): 19 scales around -limit / maximum are tried. Returns
/// the scale, which may be negative; 0, with codes 0, when all x are negligible.
float fit_symmetric(std::span<const float> x, const float* weights, int limit, std::uint8_t* codes);

/// The same grid without a search over scales: one code at a time is moved while that lowers the error weighted by x^2,
/// in at most five sweeps.
float fit_symmetric_by_moves(std::span<const float> x, int limit, std::uint8_t* codes);

/// The scales that fit_affine tries: (largest code + first + i * delta) / range for i = 0 .. tries.
struct AffineSearch {
  float first, delta;
  int tries;
  bool absolute;  ///< compares sums of |error| instead of error^2
};

struct AffineFit {
  float scale = 0;
  float minimum = 0;  ///< >= 0: x ~ scale * code - minimum
};

/// Fits x ~ scale * code - minimum with codes in [0, largest]; at most 32 values.
AffineFit fit_affine(std::span<const float> x, const float* weights, int largest, const AffineSearch& search,
                     std::uint8_t* codes);

/// Fits x ~ scale * step for x >= 0 with steps in [0, largest]: nine scales, then moves of single steps. At most 16
/// values.
float fit_steps(std::span<const float> x, const float* weights, int largest, std::int32_t* steps);

}  // namespace qb
