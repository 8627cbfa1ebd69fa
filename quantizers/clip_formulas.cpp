#include "quantizers/clip_formulas.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/base/error.h"

namespace qb {

namespace {

/// Calls body(value, count) for every bin that is not empty.
template <class Body>
void for_each_bin(const Histogram& histogram, double sign, const Body& body) {
  for (std::size_t i = 0; i < histogram.counts.size(); ++i)
    if (histogram.counts[i] > 0) body(sign * (double(i) + 0.5) * histogram.width, double(histogram.counts[i]));
}

template <class ForEach>
Moments moments_over(const ForEach& for_each) {
  double count = 0, sum = 0;
  for_each([&](double value, double times) {
    count += times;
    sum += times * value;
  });
  Moments moments;
  if (count == 0) return moments;
  moments.mean = sum / count;
  double squares = 0, distances = 0;
  for_each([&](double value, double times) {
    squares += times * (value - moments.mean) * (value - moments.mean);
    distances += times * std::abs(value - moments.mean);
  });
  moments.deviation = std::sqrt(squares / count);
  moments.absolute_deviation = distances / count;
  return moments;
}

}  // namespace

Moments moments_of(std::span<const float> values) {
  return moments_over([&](const auto& body) {
    for (const float value : values) body(double(value), 1.0);
  });
}

Moments moments_of(const Histogram& negative, const Histogram& positive, std::uint64_t zeros) {
  return moments_over([&](const auto& body) {
    if (zeros > 0) body(0.0, double(zeros));
    for_each_bin(negative, -1, body);
    for_each_bin(positive, 1, body);
  });
}

double aciq_clip(const Moments& moments, Prior prior, int bits, bool one_sided) {
  QB_EXPECTS(bits >= 1 && bits <= 8);
  constexpr std::array kGauss = {1.24, 1.71, 2.15, 2.55, 2.93, 3.28, 3.61, 3.92};
  constexpr std::array kLaplace = {1.86, 2.83, 3.89, 5.03, 6.2, 7.41, 8.64, 9.89};
  const auto row = std::size_t(std::min(bits + (one_sided ? 1 : 0), 8) - 1);
  return prior == Prior::gauss ? kGauss[row] * moments.deviation : kLaplace[row] * moments.absolute_deviation;
}

Range aciq_range(const Moments& moments, Range whole, int bits, bool one_sided,
                 const std::function<double(Range)>& error) {
  Range best = whole;
  double least = INFINITY;
  for (const Prior prior : {Prior::gauss, Prior::laplace}) {
    const double reach = aciq_clip(moments, prior, bits, one_sided);
    const Range range{std::clamp(moments.mean - reach, whole.low, 0.0),
                      std::clamp(moments.mean + reach, 0.0, whole.high)};
    const double found = error(range);
    if (found < least) {
      least = found;
      best = range;
    }
  }
  return best;
}

double aciq_error(const Moments& moments, Prior prior, int bits, double half_width) {
  const double a = half_width, rounding = a * a / (3 * std::pow(4.0, bits));
  if (prior == Prior::laplace) {
    const double b = moments.absolute_deviation;
    return rounding + (b > 0 ? 2 * b * b * std::exp(-a / b) : 0.0);
  }
  const double s = moments.deviation;
  if (s == 0) return rounding;
  const double tail = std::erfc(a / (s * std::sqrt(2.0)));
  constexpr double kRootOf2OverPi = 0.79788456080286536;
  return rounding + (a * a + s * s) * tail - kRootOf2OverPi * a * s * std::exp(-a * a / (2 * s * s));
}

namespace {

/// s <- sum of magnitudes from s on / (share * number below s + number from s on); `for_each` gives magnitudes.
template <class ForEach>
double octav_over(const ForEach& for_each, double peak, int bits, bool one_sided) {
  constexpr int kMostSteps = 100;
  constexpr double kEnough = 1e-9;
  const double share = std::pow(4.0, -bits) / (one_sided ? 12 : 3);
  double count = 0, sum = 0;
  for_each([&](double magnitude, double times) {
    count += times;
    sum += times * magnitude;
  });
  if (sum == 0) return 0;
  double clip = std::min(sum / count, 0.999 * peak);
  for (int step = 0; step < kMostSteps; ++step) {
    double below = 0, beyond = 0, beyond_sum = 0;
    for_each([&](double magnitude, double times) {
      (magnitude < clip ? below : beyond) += times;
      if (magnitude >= clip) beyond_sum += times * magnitude;
    });
    if (beyond == 0) return peak;
    const double next = beyond_sum / (share * below + beyond);
    const bool done = std::abs(next - clip) < kEnough * clip;
    clip = next;
    if (done) break;
  }
  return std::min(clip, peak);
}

}  // namespace

double octav_clip(std::span<const float> values, int bits, bool one_sided) {
  double peak = 0;
  for (const float value : values) peak = std::max(peak, std::abs(double(value)));
  return octav_over(
      [&](const auto& body) {
        for (const float value : values) body(std::abs(double(value)), 1.0);
      },
      peak, bits, one_sided);
}

double octav_clip(const Histogram& magnitudes, double peak, int bits, bool one_sided) {
  return octav_over([&](const auto& body) { for_each_bin(magnitudes, 1, body); }, peak, bits, one_sided);
}

namespace {

/// `for_each` gives values and their counts.
template <class ForEach>
double entropy_over(const ForEach& for_each, double peak, int bits, double penalty) {
  constexpr int kClips = 100;
  double best = peak, most = -INFINITY;
  for (int i = kClips; i >= 1; --i) {
    const Grid grid = symmetric_grid(peak * i / kClips, bits);
    std::array<double, 256> used{};
    double count = 0, squares = 0, errors = 0;
    for_each([&](double value, double times) {
      const auto single = static_cast<float>(value);
      const std::int32_t code = code_of(grid, single);
      const double error = value - double(value_of(grid, code));
      used[std::size_t(code - grid.low)] += times;
      count += times;
      squares += times * value * value;
      errors += times * error * error;
    });
    double score = squares > 0 ? -penalty * errors / squares : 0;
    for (const double times : used)
      if (times > 0) score -= times / count * std::log2(times / count);
    if (score > most) {
      most = score;
      best = peak * i / kClips;
    }
  }
  return best;
}

}  // namespace

double entropy_clip(std::span<const float> values, int bits, double penalty) {
  double peak = 0;
  for (const float value : values) peak = std::max(peak, std::abs(double(value)));
  return entropy_over(
      [&](const auto& body) {
        for (const float value : values) body(double(value), 1.0);
      },
      peak, bits, penalty);
}

double entropy_clip(const Histogram& negative, const Histogram& positive, std::uint64_t zeros, double peak, int bits,
                    double penalty) {
  return entropy_over(
      [&](const auto& body) {
        if (zeros > 0) body(0.0, double(zeros));
        for_each_bin(negative, -1, body);
        for_each_bin(positive, 1, body);
      },
      peak, bits, penalty);
}

}  // namespace qb
