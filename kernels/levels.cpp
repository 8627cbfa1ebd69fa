#include "kernels/levels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "kernels/base/error.h"
#include "kernels/base/small_floats.h"
#include "kernels/base/text.h"

namespace qb {

namespace {

template <std::size_t count>
constexpr std::array<float, count> values_of(const FloatFormat& format) {
  std::array<float, count> values{};
  for (std::size_t code = 0; code < count; ++code) values[code] = decode(format, std::uint16_t(code));
  return values;
}

/// Magnitudes that begin with zero, as multiples of the least positive one, with both signs.
std::vector<float> signed_multiples(const std::vector<double>& magnitudes) {
  std::vector<float> levels;
  for (std::size_t i = magnitudes.size() - 1; i > 0; --i)
    levels.push_back(-float(std::lrint(magnitudes[i] / magnitudes[1])));
  for (const double magnitude : magnitudes) levels.push_back(float(std::lrint(magnitude / magnitudes[1])));
  return levels;
}

}  // namespace

constinit const std::array<float, 16> kE2m1Levels = values_of<16>(kE2M1FN);
constinit const std::array<float, 64> kE2m3Levels = values_of<64>(kE2M3FN);
constinit const std::array<float, 64> kE3m2Levels = values_of<64>(kE3M2FN);
constinit const std::array<float, 256> kE4m3Levels = values_of<256>(kE4M3FN);
constinit const std::array<float, 256> kE5m2Levels = values_of<256>(kE5M2);

std::span<const float> levels_named(std::string_view set) {
  struct NamedLevels {
    std::string_view name;
    std::span<const float> levels;
  };
  static const NamedLevels sets[] = {
      {"binary", kBinaryLevels}, {"ternary", kTernaryLevels}, {"trit", kTernaryLevels},      {"e2m1", kE2m1Levels},
      {"e2m3", kE2m3Levels},     {"e3m2", kE3m2Levels},       {"e4m3", kE4m3Levels},         {"e5m2", kE5m2Levels},
      {"nf4", kNf4Levels},       {"af4", kAf4Levels},         {"af4b32", kAf4Block32Levels}, {"fp4", kFp4Levels},
      {"iq4nl", kIq4NlLevels},   {"pot3", pot_set(3)},        {"pot4", pot_set(4)},          {"pot5", pot_set(5)},
      {"apot4", apot_set(4)},    {"apot5", apot_set(5)},      {"apot6", apot_set(6)},        {"apot7", apot_set(7)},
  };
  for (const NamedLevels& known : sets)
    if (known.name == set) return known.levels;
  std::vector<std::string> names;
  for (const NamedLevels& known : sets) names.emplace_back(known.name);
  throw InputError(fmt::format("level set '{}' is not known{}", set, suggestion(set, names)));
}

int nearest_level(std::span<const float> levels, float x) {
  QB_EXPECTS(!levels.empty() && std::isfinite(x));
  std::size_t best = 0;
  while (!std::isfinite(levels[best])) ++best;
  for (std::size_t code = best + 1; code < levels.size(); ++code) {
    if (!std::isfinite(levels[code])) continue;
    // Against the midpoint, not by distances: those of a huge x would all be equal.
    const double level = double(levels[code]), sum = level + double(levels[best]), twice = 2 * double(x);
    if (level > double(levels[best]) ? twice > sum : twice < sum && level < double(levels[best])) best = code;
  }
  return int(best);
}

std::vector<float> level_thresholds(std::span<const float> levels) {
  std::vector<float> thresholds;
  for (std::size_t i = 1; i < levels.size(); ++i) {
    QB_EXPECTS(levels[i - 1] < levels[i]);
    thresholds.push_back(static_cast<float>((double(levels[i - 1]) + double(levels[i])) / 2));
  }
  return thresholds;
}

std::vector<double> apot_levels(int bits) {
  // Each term is 0 or 2^-e, with e from one row; the rows share the exponents so that all sums differ.
  static const std::vector<std::vector<int>> terms[] = {
      {{1, 2, 3}},                        // 2 bits
      {{1, 2, 4}, {3}},                   // 3
      {{1, 3, 5}, {2, 4, 6}},             // 4
      {{1, 3, 6}, {2, 4, 7}, {5}},        // 5
      {{1, 4, 7}, {2, 5, 8}, {3, 6, 9}},  // 6
  };
  QB_EXPECTS(bits >= 2 && bits <= 6);
  std::vector<double> sums = {0.0};
  for (const std::vector<int>& exponents : terms[bits - 2]) {
    const std::vector<double> without = sums;
    for (const int exponent : exponents)
      for (const double sum : without) sums.push_back(sum + std::ldexp(1.0, -exponent));
  }
  std::sort(sums.begin(), sums.end());
  const double largest = sums.back();
  for (double& sum : sums) sum /= largest;
  return sums;
}

std::vector<double> pot_levels(int bits) {
  QB_EXPECTS(bits >= 1 && bits <= 6);
  std::vector<double> levels = {0.0};
  for (int exponent = (1 << bits) - 2; exponent >= 0; --exponent) levels.push_back(std::ldexp(1.0, -exponent));
  return levels;
}

std::span<const float> dynamic_levels() {
  static const std::vector<float> levels = [] {
    std::vector<float> made = {0.0f, 1.0f};
    for (int i = 0; i < 7; ++i)
      for (int j = 0; j < 1 << i; ++j) {
        const double middle = 0.1 + 0.9 * (j + 0.5) / (1 << i);
        made.push_back(float(std::pow(10.0, i - 6) * middle));
        made.push_back(-made.back());
      }
    std::sort(made.begin(), made.end());
    return made;
  }();
  return levels;
}

std::span<const float> pot_set(int bits) {
  static const std::array sets = {signed_multiples(pot_levels(2)), signed_multiples(pot_levels(3)),
                                  signed_multiples(pot_levels(4))};
  QB_EXPECTS(bits >= 3 && bits <= 5);
  return sets[std::size_t(bits - 3)];
}

std::span<const float> apot_set(int bits) {
  static const std::array sets = {signed_multiples(apot_levels(3)), signed_multiples(apot_levels(4)),
                                  signed_multiples(apot_levels(5)), signed_multiples(apot_levels(6))};
  QB_EXPECTS(bits >= 4 && bits <= 7);
  return sets[std::size_t(bits - 4)];
}

}  // namespace qb
