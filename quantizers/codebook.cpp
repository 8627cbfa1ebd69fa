#include "quantizers/codebook.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"

namespace qb {

double SortedValues::mean(std::size_t begin, std::size_t end) const {
  // A single value is its own mean, free of the rounding of the sums.
  if (end - begin == 1) return value[begin];
  return (sum_wx[end] - sum_wx[begin]) / (sum_w[end] - sum_w[begin]);
}

double SortedValues::cost(std::size_t begin, std::size_t end) const {
  if (end - begin <= 1) return 0;
  const double w = sum_w[end] - sum_w[begin], wx = sum_wx[end] - sum_wx[begin];
  return std::max(0.0, sum_wxx[end] - sum_wxx[begin] - wx * wx / w);
}

SortedValues sort_values(std::span<const float> values, std::span<const float> weights) {
  QB_EXPECTS(weights.empty() || weights.size() == values.size());
  std::vector<std::pair<float, double>> pairs;
  pairs.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double weight = weights.empty() ? 1.0 : double(weights[i]);
    QB_EXPECTS(std::isfinite(values[i]) && std::isfinite(weight) && weight >= 0);
    if (weight > 0) pairs.emplace_back(values[i], weight);
  }
  QB_EXPECTS(!pairs.empty());
  std::sort(pairs.begin(), pairs.end());
  SortedValues out;
  for (const auto& [value, weight] : pairs) {
    if (!out.value.empty() && out.value.back() == double(value)) {
      out.weight.back() += weight;
    } else {
      out.value.push_back(double(value));
      out.weight.push_back(weight);
    }
  }
  out.sum_w = out.sum_wx = out.sum_wxx = {0.0};
  for (std::size_t i = 0; i < out.count(); ++i) {
    const double w = out.weight[i], x = out.value[i];
    out.sum_w.push_back(out.sum_w.back() + w);
    out.sum_wx.push_back(out.sum_wx.back() + w * x);
    out.sum_wxx.push_back(out.sum_wxx.back() + w * x * x);
  }
  return out;
}

EqualMass equal_mass(const SortedValues& data, int k, SliceLevel level) {
  QB_EXPECTS(k >= 1);
  const std::size_t slices = std::min(std::size_t(k), data.count());
  const double total = data.sum_w.back();
  EqualMass out;
  std::size_t begin = 0;
  for (std::size_t slice = 0; slice < slices; ++slice) {
    const std::size_t left = slices - slice - 1;
    const double wanted = data.sum_w[begin] + (total - data.sum_w[begin]) / double(left + 1);
    // Every slice gets a value, and leaves one for each that follows.
    const auto first = data.sum_w.begin() + std::ptrdiff_t(begin + 1),
               stop = data.sum_w.end() - std::ptrdiff_t(left) - 1;
    auto end = std::lower_bound(first, stop, wanted);
    if (end != first && wanted - *(end - 1) <= *end - wanted) --end;
    if (left == 0) end = stop;
    const auto last = std::size_t(end - data.sum_w.begin());
    double stands_for = data.mean(begin, last);
    if (level == SliceLevel::median) {
      const double half = (data.sum_w[begin] + data.sum_w[last]) / 2;
      const auto past = std::upper_bound(data.sum_w.begin(), data.sum_w.end(), half) - data.sum_w.begin() - 1;
      const auto from = std::lower_bound(data.sum_w.begin(), data.sum_w.end(), half) - data.sum_w.begin() - 1;
      stands_for = (data.value[std::size_t(from)] + data.value[std::min(std::size_t(past), last - 1)]) / 2;
    }
    out.levels.push_back(stands_for);
    out.last.push_back(data.value[last - 1]);
    begin = last;
  }
  return out;
}

}  // namespace qb
