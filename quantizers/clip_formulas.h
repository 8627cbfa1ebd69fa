// Ranges from formulas and from counts of codes, beside the searches of range_search.h.
#pragma once
#include <functional>
#include <span>

#include "quantizers/range_search.h"

namespace qb {

/// What the closed forms know of a distribution.
struct Moments {
  double mean = 0;
  double deviation = 0;           ///< standard deviation, of the population
  double absolute_deviation = 0;  ///< mean |x - mean|
};
Moments moments_of(std::span<const float> values);
/// From both sides of a histogram and the number of exact zeros, with each bin at its centre.
Moments moments_of(const Histogram& negative, const Histogram& positive, std::uint64_t zeros);

enum class Prior : std::uint8_t { gauss, laplace };

/// Half the width, around the mean, of the range whose expected squared error is least if the values follow the prior:
/// a multiple of the deviation (Gauss) or of the absolute deviation (Laplace) for each number of bits, 1 to 8. Values
/// of one sign only need one half: they take the multiple of one bit more, up to 8. Source: Banner et al. 2019, ACIQ
/// (arXiv:1810.05723); the multiples are those of their code.
double aciq_clip(const Moments& moments, Prior prior, int bits, bool one_sided = false);

/// The range around the mean by the prior that errs less, cut to `whole`; `error` says by how much a range errs.
Range aciq_range(const Moments& moments, Range whole, int bits, bool one_sided,
                 const std::function<double(Range)>& error);

/// The expected squared error of aciq_clip() by the same paper, of clipping and of rounding, for a clip of
/// `half_width`.
double aciq_error(const Moments& moments, Prior prior, int bits, double half_width);

/// The clip of |x| at which squared errors of clipping and of rounding balance, by Newton's iteration: exact zeros
/// count. `one_sided` where no value is negative and all codes serve one side. At most the largest magnitude; 0 where
/// all values are 0.
/// Source: Sakr et al. 2022, OCTAV (arXiv:2206.06501), equation 6.
double octav_clip(std::span<const float> values, int bits, bool one_sided = false);
/// The same from counts of magnitudes, zeros in bin 0, with each other bin at its centre.
double octav_clip(const Histogram& magnitudes, double peak, int bits, bool one_sided = false);

/// The clip peak * i / 100 of the symmetric grid that maximises the entropy of its codes in bits, less `penalty` times
/// the mean squared error over the mean square: the largest on ties. With penalty 0 nothing holds clipping back.
double entropy_clip(std::span<const float> values, int bits, double penalty);
/// The same from counts of both signs and of exact zeros.
double entropy_clip(const Histogram& negative, const Histogram& positive, std::uint64_t zeros, double peak, int bits,
                    double penalty);

}  // namespace qb
