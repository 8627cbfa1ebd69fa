#include <array>
#include <cmath>

#include "kernels/sign_rows/sign_rows.h"

namespace qb {

/// The definition. Written to be read beside the rule in the header, not to be fast.
float sign_row_ref(const float* x, std::int64_t k, std::uint64_t* bits) {
  std::array<double, 16> sums{};
  for (std::int64_t t = 0; t < k; ++t) {
    if (t % 64 == 0) bits[t / 64] = 0;
    if (x[t] >= 0) bits[t / 64] |= std::uint64_t(1) << (t % 64);
    sums[std::size_t(t % 16)] += std::abs(double(x[t]));
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  return float(sum / double(k));
}

}  // namespace qb
