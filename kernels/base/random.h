// Seeded random numbers that are the same on every machine: integer arithmetic only, no library functions.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace qb {

/// splitmix64's output function: a bijection of 64-bit words. Source: Steele, Lea and Flood, OOPSLA 2014.
constexpr std::uint64_t mix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// A stream of random words: word i of a stream is mix64 of (key, i), so that streams split and skip freely.
class Random {
 public:
  using result_type = std::uint64_t;

  explicit constexpr Random(std::uint64_t seed, std::uint64_t stream = 0) : key_(mix64(seed) ^ mix64(~stream)) {}

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return ~std::uint64_t{0}; }
  constexpr result_type operator()() { return mix64(key_ + 0x9e3779b97f4a7c15u * ++index_); }

  /// Uniform in [0, bound), bound >= 1: the upper word of word * bound; bias below bound / 2^64.
  constexpr std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t word = (*this)();
    const std::uint64_t a = word >> 32, b = word & 0xffffffffu, c = bound >> 32, d = bound & 0xffffffffu;
    return a * c + ((a * d) >> 32) + ((b * c + ((a * d) & 0xffffffffu) + ((b * d) >> 32)) >> 32);
  }
  constexpr double uniform() { return double((*this)() >> 11) * 0x1.0p-53; }  ///< [0, 1)
  constexpr double uniform(double low, double high) { return low + (high - low) * uniform(); }

  /// Nearly normal with mean 0 and deviation 1: the sum of 12 uniforms minus 6 (bounded by ±6; exact sums, no libm).
  constexpr double normal() {
    double sum = -6.0;
    for (int i = 0; i < 6; ++i) {
      const std::uint64_t word = (*this)();
      sum += double(word >> 32) * 0x1.0p-32 + double(word & 0xffffffffu) * 0x1.0p-32;
    }
    return sum;
  }

 private:
  std::uint64_t key_;
  std::uint64_t index_ = 0;
};

/// Fisher-Yates; the same order for the same seed on every machine.
template <class T>
constexpr void shuffle(std::span<T> items, Random& random) {
  for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.below(i)]);
}

}  // namespace qb
