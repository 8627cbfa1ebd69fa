#include "kernels/gguf_blocks/scale_search.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace qb {

namespace {

/// Sums of the weighted least-squares fit x ~ scale * code: scale = xl / ll lowers the error by xl^2 / ll.
struct FitSums {
  float xl = 0, ll = 0;

  void add(float weight, float x, int code) {
    xl += weight * x * float(code);
    ll += weight * float(code) * float(code);
  }
  void remove(float weight, float x, int code) {
    xl -= weight * x * float(code);
    ll -= weight * float(code) * float(code);
  }
};

int symmetric_code(float x, float inverse, int limit) {
  return std::clamp(nearest_int(inverse * x), -limit, limit - 1);
}

}  // namespace

int nearest_int(float x) {
  const float shifted = x + 12582912.0f;  // 1.5 * 2^23: the unit of the last place is 1
  return int(std::bit_cast<std::uint32_t>(shifted) & 0x7fffffu) - 0x400000;
}

int truncated(float x, int low, int high) {
  if (x >= float(high)) return high;
  return x > float(low) ? int(x) : low;
}

float signed_maximum(std::span<const float> x) {
  float maximum = 0;
  for (const float value : x)
    if (std::abs(value) > std::abs(maximum)) maximum = value;
  return maximum;
}

float largest_magnitude(std::span<const float> x) { return std::abs(signed_maximum(x)); }

void importance_weights(std::span<const float> x, const float* importance, float variance, float* weights) {
  for (std::size_t i = 0; i < x.size(); ++i) weights[i] = importance[i] * std::sqrt(variance + x[i] * x[i]);
}

float sum_of_squares(std::span<const float> x) {
  float sum = 0;
  for (const float value : x) sum += value * value;
  return sum;
}

float fit_symmetric(std::span<const float> x, const float* weights, int limit, std::uint8_t* codes) {
  const float maximum = signed_maximum(x);
  if (std::abs(maximum) < kNegligible) {
    std::fill_n(codes, x.size(), std::uint8_t(0));
    return 0;
  }
  const auto sums_for = [&](float inverse) {
    FitSums sums;
    for (std::size_t i = 0; i < x.size(); ++i) sums.add(weights[i], x[i], symmetric_code(x[i], inverse, limit));
    return sums;
  };
  const auto keep = [&](float inverse) {
    for (std::size_t i = 0; i < x.size(); ++i) codes[i] = std::uint8_t(symmetric_code(x[i], inverse, limit) + limit);
  };
  const float first = float(-limit) / maximum;
  FitSums sums = sums_for(first);
  keep(first);
  float scale = sums.ll != 0 ? sums.xl / sums.ll : 0.0f;
  float best = scale * sums.xl;
  for (int step = -9; step <= 9; ++step) {
    if (step == 0) continue;
    const float inverse = -(float(limit) + 0.1f * float(step)) / maximum;
    sums = sums_for(inverse);
    if (!(sums.ll > 0 && sums.xl * sums.xl > best * sums.ll)) continue;
    keep(inverse);
    scale = sums.xl / sums.ll;
    best = scale * sums.xl;
  }
  return scale;
}

float fit_symmetric_by_moves(std::span<const float> x, int limit, std::uint8_t* codes) {
  const float maximum = signed_maximum(x);
  if (std::abs(maximum) < kNegligible) {
    std::fill_n(codes, x.size(), std::uint8_t(0));
    return 0;
  }
  const float inverse = float(-limit) / maximum;
  FitSums sums;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const int code = symmetric_code(x[i], inverse, limit);
    sums.add(x[i] * x[i], x[i], code);
    codes[i] = std::uint8_t(code + limit);
  }
  bool changed = true;
  for (int sweep = 0; sweep < 5 && changed; ++sweep) {
    changed = false;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float weight = x[i] * x[i];
      const int old = codes[i] - limit;
      FitSums moved = sums;
      moved.remove(weight, x[i], old);
      if (!(moved.xl > 0)) continue;
      const int code = std::clamp(nearest_int(x[i] * moved.ll / moved.xl), -limit, limit - 1);
      if (code == old) continue;
      moved.add(weight, x[i], code);
      if (!(moved.ll > 0 && moved.xl * moved.xl * sums.ll > sums.xl * sums.xl * moved.ll)) continue;
      codes[i] = std::uint8_t(code + limit);
      sums = moved;
      changed = true;
    }
  }
  return sums.ll > 0 ? sums.xl / sums.ll : 0.0f;
}

AffineFit fit_affine(std::span<const float> x, const float* weights, int largest, const AffineSearch& search,
                     std::uint8_t* codes) {
  float low = x[0], high = x[0], sum_w = weights[0], sum_x = sum_w * x[0];
  for (std::size_t i = 1; i < x.size(); ++i) {
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
    sum_w += weights[i];
    sum_x += weights[i] * x[i];
  }
  low = std::min(low, 0.0f);
  if (high == low) {
    std::fill_n(codes, x.size(), std::uint8_t(0));
    return {0, -low};
  }
  const auto code_of = [&](float value, float inverse) {
    return std::clamp(nearest_int(inverse * (value - low)), 0, largest);
  };
  const auto error_of = [&](const std::uint8_t* tried, float scale, float minimum) {
    float error = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float difference = scale * float(tried[i]) + minimum - x[i];
      error += weights[i] * (search.absolute ? std::abs(difference) : difference * difference);
    }
    return error;
  };
  const float first = float(largest) / (high - low);
  float scale = 1 / first;
  for (std::size_t i = 0; i < x.size(); ++i) codes[i] = std::uint8_t(code_of(x[i], first));
  float best = error_of(codes, scale, low);
  std::array<std::uint8_t, 32> tried{};
  for (int step = 0; step <= search.tries; ++step) {
    // The minimum that the last accepted fit found, not that of the data, though the maximum remains the data's.
    const float inverse = (search.first + search.delta * float(step) + float(largest)) / (high - low);
    float sum_l = 0, sum_ll = 0, sum_xl = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      tried[i] = std::uint8_t(code_of(x[i], inverse));
      const auto code = float(tried[i]);
      sum_l += weights[i] * code;
      sum_ll += weights[i] * code * code;
      sum_xl += weights[i] * code * x[i];
    }
    const float determinant = sum_w * sum_ll - sum_l * sum_l;
    if (!(determinant > 0)) continue;
    float tried_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
    float tried_low = (sum_ll * sum_x - sum_l * sum_xl) / determinant;
    if (tried_low > 0) {
      tried_low = 0;
      tried_scale = sum_xl / sum_ll;
    }
    const float error = error_of(tried.data(), tried_scale, tried_low);
    if (!(error < best)) continue;
    std::copy_n(tried.begin(), x.size(), codes);
    best = error;
    scale = tried_scale;
    low = tried_low;
  }
  return {scale, -low};
}

float fit_steps(std::span<const float> x, const float* weights, int largest, std::int32_t* steps) {
  float maximum = 0;
  for (const float value : x) maximum = std::max(maximum, value);
  if (maximum < kNegligible) {
    std::fill_n(steps, x.size(), 0);
    return 0;
  }
  const auto step_of = [&](float value, float inverse) { return std::min(nearest_int(inverse * value), largest); };
  const auto error_of = [&](float inverse) {
    const float scale = 1 / inverse;
    float error = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float difference = x[i] - scale * float(step_of(x[i], inverse));
      error += weights[i] * difference * difference;
    }
    return error;
  };
  float inverse = float(largest) / maximum, least = error_of(inverse);
  for (int step = -4; step <= 4; ++step) {
    const float tried = (0.1f * float(step) + float(largest)) / maximum, error = error_of(tried);
    if (step == 0 || !(error < least)) continue;
    least = error;
    inverse = tried;
  }
  FitSums sums;
  for (std::size_t i = 0; i < x.size(); ++i) {
    steps[i] = step_of(x[i], inverse);
    sums.add(weights[i], x[i], steps[i]);
  }
  bool changed = true;
  for (int sweep = 0; sweep < 5 && changed; ++sweep) {
    changed = false;
    for (std::size_t i = 0; i < x.size(); ++i) {
      FitSums moved = sums;
      moved.remove(weights[i], x[i], steps[i]);
      if (!(moved.xl > 0 && moved.ll > 0)) continue;
      const int step = std::min(nearest_int(x[i] * moved.ll / moved.xl), largest);
      if (step == steps[i]) continue;
      moved.add(weights[i], x[i], step);
      if (!(moved.xl * moved.xl * sums.ll > sums.xl * sums.xl * moved.ll)) continue;
      steps[i] = step;
      sums = moved;
      changed = true;
    }
  }
  return sums.ll > 0 ? sums.xl / sums.ll : 0.0f;
}

}  // namespace qb
