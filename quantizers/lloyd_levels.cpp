#include "quantizers/lloyd_levels.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/base/error.h"

namespace qb {
namespace {

/// One side of a symmetric density of variance 1, x >= 0. `tail` is the mass beyond x, `moment` the integral of t f(t)
/// from there on; both are 0 at infinity.
struct Side {
  double (*density)(double x);
  double (*tail)(double x);
  double (*moment)(double x);
  double (*first)(double share);  ///< where a level begins its way if `share` of the levels of this side lie below it
};

constexpr double kRoot2 = std::numbers::sqrt2;

/// The quantile of the density's cube root, which is how dense optimal levels lie when they are many (Panter and Dite
/// 1951); for the normal density by a formula of two digits, since the iteration goes on from there.
const Side kGauss = {[](double x) { return std::exp(-x * x / 2) * std::numbers::inv_sqrtpi / kRoot2; },
                     [](double x) { return std::erfc(x / kRoot2) / 2; },
                     [](double x) { return std::exp(-x * x / 2) * std::numbers::inv_sqrtpi / kRoot2; },
                     [](double share) {
                       const double log = std::log(1 - share * share), part = 4.3307 + log / 2;
                       return std::sqrt(3.0) * kRoot2 * std::sqrt(std::sqrt(part * part - log / 0.147) - part);
                     }};
const Side kLaplace = {[](double x) { return std::exp(-kRoot2 * x) / kRoot2; },
                       [](double x) { return std::exp(-kRoot2 * x) / 2; },
                       [](double x) { return std::exp(-kRoot2 * x) * (x + 1 / kRoot2) / 2; },
                       [](double share) { return -3 / kRoot2 * std::log(1 - share); }};

/// The values nearest to one level: between two boundaries, of which the last one is infinite.
struct Cell {
  double begin, end, mass, mean;
};

std::vector<Cell> cells_of(const Side& side, const std::vector<double>& levels) {
  std::vector<Cell> cells;
  double begin = 0;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const double end = i + 1 < levels.size() ? (levels[i] + levels[i + 1]) / 2 : INFINITY;
    const bool last = i + 1 == levels.size();
    const double mass = side.tail(begin) - (last ? 0 : side.tail(end));
    const double moment = side.moment(begin) - (last ? 0 : side.moment(end));
    cells.push_back({begin, end, mass, moment / mass});
    begin = end;
  }
  return cells;
}

/// One step of Newton's iteration for `levels - means = 0`, a tridiagonal system: means change with both boundaries,
/// and each of these by half of its two levels.
std::vector<double> newton_step(const Side& side, const std::vector<Cell>& cells, const std::vector<double>& levels) {
  const std::size_t n = levels.size();
  std::vector<double> diagonal(n), above(n), right(n);
  for (std::size_t i = 0; i < n; ++i) {
    const Cell& cell = cells[i];
    const double low = i == 0 ? 0 : side.density(cell.begin) * (cell.mean - cell.begin) / cell.mass / 2;
    const double high = i + 1 == n ? 0 : side.density(cell.end) * (cell.end - cell.mean) / cell.mass / 2;
    diagonal[i] = 1 - low - high;
    above[i] = -high;
    right[i] = cell.mean - levels[i];
    if (i == 0) continue;
    const double factor = -low / diagonal[i - 1];
    diagonal[i] -= factor * above[i - 1];
    right[i] -= factor * right[i - 1];
  }
  std::vector<double> step(n);
  for (std::size_t i = n; i-- > 0;) step[i] = (right[i] - (i + 1 < n ? above[i] * step[i + 1] : 0)) / diagonal[i];
  return step;
}

}  // namespace

std::vector<double> lloyd_levels(Prior prior, int bits) {
  QB_EXPECTS(bits >= 1 && bits <= 8);
  const Side& side = prior == Prior::gauss ? kGauss : kLaplace;
  const std::size_t n = std::size_t(1) << (bits - 1);
  std::vector<double> levels;
  for (std::size_t i = 0; i < n; ++i) levels.push_back(side.first((double(i) + 0.5) / double(n)));
  constexpr int kLloydSteps = 20, kSteps = 100;
  for (int step = 0; step < kSteps; ++step) {
    const std::vector<Cell> cells = cells_of(side, levels);
    if (step < kLloydSteps) {
      for (std::size_t i = 0; i < n; ++i) levels[i] = cells[i].mean;
      continue;
    }
    const std::vector<double> change = newton_step(side, cells, levels);
    double largest = 0;
    for (std::size_t i = 0; i < n; ++i) {
      levels[i] += change[i];
      largest = std::max(largest, std::abs(change[i]));
    }
    QB_EXPECTS(levels[0] > 0 && std::ranges::is_sorted(levels));
    if (largest < 1e-13) break;
  }
  std::vector<double> both;
  for (std::size_t i = n; i-- > 0;) both.push_back(-levels[i]);
  both.insert(both.end(), levels.begin(), levels.end());
  return both;
}

}  // namespace qb
