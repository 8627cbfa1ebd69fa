#include "kernels/peak_loops.h"

namespace qb {

double f32_peak_portable(std::int64_t steps) {
  constexpr int kLanes = 64;
  float sum[kLanes] = {};
  float factor = 1.0f;
  for (std::int64_t i = 0; i < steps; ++i) {
    for (float& lane : sum) lane = lane * factor + factor;
    __asm__ volatile("" : "+m"(factor));
  }
  __asm__ volatile("" : : "r"(sum) : "memory");
  return 2.0 * kLanes * double(steps);
}

double s8_peak_portable(std::int64_t steps) {
  constexpr int kLanes = 64;
  std::int8_t a[kLanes] = {1, 2, 3}, b[kLanes] = {3, 2, 1};
  std::int32_t sum[kLanes] = {};
  for (std::int64_t i = 0; i < steps; ++i) {
    for (int lane = 0; lane < kLanes; ++lane) sum[lane] += a[lane] * b[lane];
    __asm__ volatile("" : "+m"(a), "+m"(b));
  }
  __asm__ volatile("" : : "r"(sum) : "memory");
  return 2.0 * kLanes * double(steps);
}

void read_peak_portable(const void* bytes, std::int64_t size) {
  const auto* words = static_cast<const std::uint64_t*>(bytes);
  std::uint64_t sum[8] = {};
  for (std::int64_t i = 0; i < size / 8; i += 8)
    for (int lane = 0; lane < 8; ++lane) sum[lane] ^= words[i + lane];
  __asm__ volatile("" : : "r"(sum) : "memory");
}

}  // namespace qb
