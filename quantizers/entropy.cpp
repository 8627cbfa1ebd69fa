// Codes of maximal entropy: every code stands for an equal part of the weights.
// Source: Messerschmitt, Quantizing for maximum output entropy, IEEE Trans. Inform. Theory 17(5), 1971; codebook.h.
#include <algorithm>

#include "quantizers/codebook.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"

namespace qb {

PackedMatrix quantize_entropy(const LayerProblem& layer, const QuantSpec& spec) {
  const SliceLevel level = option_of(spec, "level") == "median" ? SliceLevel::median : SliceLevel::mean;
  return quantize_to_tables(
      layer, spec, [&](std::size_t, std::span<const float> values, std::span<float> levels, std::uint8_t* codes) {
        const EqualMass slices = equal_mass(sort_values(values), 1 << spec.weight_bits, level);
        store_levels(slices.levels, levels);
        // By slice, not by the nearest level: that is what makes the codes equally frequent.
        for (std::size_t i = 0; i < values.size(); ++i)
          codes[i] = std::uint8_t(std::lower_bound(slices.last.begin(), slices.last.end(), double(values[i])) -
                                  slices.last.begin());
      });
}

}  // namespace qb
