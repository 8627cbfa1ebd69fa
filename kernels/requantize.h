// Integer accumulators back to codes: multiplication by a real number in fixed point, without floats at run time.
// Sources: gemmlowp fixedpoint.h (the two primitives); Jacob et al. (arXiv:1712.05877), section 2.2; TensorFlow Lite's
// quantization_util (how a real multiplier is decomposed, single and double rounding).
#pragma once
#include <cstdint>
#include <string_view>

namespace qb {

/// A real multiplier as mantissa * 2^(shift - 31): mantissa 0 or in [2^30, 2^31).
struct FixedMultiplier {
  std::int32_t mantissa = 0;
  int shift = 0;  ///< in [-31, 30]
  bool operator==(const FixedMultiplier&) const = default;
};

/// The nearest FixedMultiplier, ties of the mantissa away from zero. Multipliers below 2^-32 become 0.
/// Throws InputError unless 0 <= real < 2^30.
FixedMultiplier fixed_multiplier(double real);

/// a * b / 2^31 to the nearest integer, ties upward; (-2^31) * (-2^31) saturates.
std::int32_t doubling_high_product(std::int32_t a, std::int32_t b);

/// x / 2^exponent to the nearest integer, ties away from zero; exponent in [0, 31].
std::int32_t divide_by_power(std::int32_t x, int exponent);

/// How an accumulator is rounded. The first two are what integer runtimes do, and differ in some ties.
enum class Requantization : std::uint8_t {
  double_rounding,  ///< high product, then division by a power of two: two roundings
  single_rounding,  ///< one 64-bit product, one rounding, ties upward
  float64,          ///< the real product in binary64, ties to even
};
std::string_view name_of(Requantization rounding);  ///< "double", "single", "float64"

/// round(accumulator * multiplier), saturated to int32. float64 uses the multiplier's decomposed value.
std::int32_t requantize(std::int32_t accumulator, const FixedMultiplier& multiplier, Requantization rounding);

/// round(accumulator * real) in binary64, ties to even, saturated to int32; `real` finite.
std::int32_t requantize(std::int32_t accumulator, double real);

}  // namespace qb
