// Shared values by k-means. Source: Han et al., Deep Compression (arXiv:1510.00149), section 3; the search: codebook.h.
#include <fmt/format.h>

#include <algorithm>

#include "quantizers/codebook.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"

namespace qb {
namespace {

/// The code of the nearest level as stored, the lower one on ties.
void encode_nearest(std::span<const float> values, std::span<const float> levels, std::uint8_t* codes) {
  std::vector<double> middles;
  for (std::size_t j = 0; j + 1 < levels.size(); ++j)
    middles.push_back((double(levels[j]) + double(levels[j + 1])) / 2);
  for (std::size_t i = 0; i < values.size(); ++i)
    codes[i] = std::uint8_t(std::lower_bound(middles.begin(), middles.end(), double(values[i])) - middles.begin());
}

}  // namespace

PackedMatrix quantize_kmeans(const LayerProblem& layer, const QuantSpec& spec) {
  KMeansOptions options;
  options.init = kmeans_init(option_of(spec, "init"));
  options.pin_zero = flag_of(spec, "pin_zero");
  options.restarts = int(integer_of(spec, "restarts"));
  options.seed = std::uint64_t(integer_of(spec, "seed"));
  const int k = 1 << spec.weight_bits;
  return quantize_to_tables(
      layer, spec, [&](std::span<const float> values, std::span<float> levels, std::uint8_t* codes) {
        const SortedValues data = sort_values(values);
        if (options.init == KMeansInit::dp && data.count() * std::size_t(k) > kOptimumCells)
          throw InputError(fmt::format(
              "layer '{}': init=dp is limited to {} distinct weights at {} bits and there are {}; use init=quantile",
              layer.node, kOptimumCells / std::uint64_t(k), spec.weight_bits, data.count()));
        store_levels(kmeans(data, k, options).levels, levels);
        encode_nearest(values, levels, codes);
      });
}

}  // namespace qb
