#include "kernels/convolution/window_products.h"

namespace qb {

void pixel_sums_portable(const std::int8_t* pixels, std::int64_t count, std::int64_t channels, std::int32_t zero,
                         std::int32_t* sums) {
  for (std::int64_t i = 0; i < count; ++i, pixels += channels) {
    std::int32_t sum = 0;
    for (std::int64_t t = 0; t < channels; ++t) sum += pixels[t];
    sums[i] = sum - std::int32_t(channels) * zero;
  }
}

}  // namespace qb
