#include "reports/picture_layout.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/base/error.h"

namespace qb {

namespace {

constexpr double kMarkRadius = 5;  ///< pixels around a mark that a label leaves free

/// 1, 2 or 5 times a power of ten, the smallest that is at least `step`.
double round_step(double step) {
  const double power = std::pow(10.0, std::floor(std::log10(step)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= step * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

double overlap(const Box& a, const Box& b) {
  const double width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const double height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  return width > 0 && height > 0 ? width * height : 0;
}

/// Two thin boxes, of one pixel to either side.
std::array<Box, 2> whisker_boxes(const Mark& mark) {
  return {Box{mark.whiskers.left, mark.y - 1, mark.whiskers.right, mark.y + 1},
          Box{mark.x - 1, mark.whiskers.top, mark.x + 1, mark.whiskers.bottom}};
}

Box around(const Mark& mark) {
  return {mark.x - kMarkRadius, mark.y - kMarkRadius, mark.x + kMarkRadius, mark.y + kMarkRadius};
}

struct Candidate {
  Box box;
  double distance = 0;
};

/// Eight directions at growing distance, the usual place (right of the mark) first.
std::vector<Candidate> candidates(const Mark& mark, double height) {
  constexpr double kDistances[] = {7, 13, 22, 34, 48, 64, 84};
  constexpr std::array<std::array<double, 2>, 8> kDirections = {
      {{1, 0}, {1, -0.7}, {1, 0.7}, {-1, 0}, {-1, -0.7}, {-1, 0.7}, {0, -1}, {0, 1}}};
  std::vector<Candidate> found;
  for (const double distance : kDistances)
    for (const auto& [across, down] : kDirections) {
      const double middle_x = mark.x + across * (distance + mark.label_width / 2);
      const double middle_y = mark.y + down * (distance + height / 2);
      found.push_back({{middle_x - mark.label_width / 2, middle_y - height / 2, middle_x + mark.label_width / 2,
                        middle_y + height / 2},
                       distance});
    }
  return found;
}

/// Where the line from a mark to its label ends.
std::pair<double, double> end_of_lead(const Mark& mark, const Box& label) {
  return {std::clamp(mark.x, label.left, label.right), std::clamp(mark.y, label.top, label.bottom)};
}

/// Pixels, by steps, that the line to a label runs over other marks and labels.
double crossed(const Candidate& candidate, std::size_t own, std::span<const Mark> marks,
               const std::vector<LabelPlace>& placed) {
  constexpr int kSteps = 24;
  const auto [end_x, end_y] = end_of_lead(marks[own], candidate.box);
  double pixels = 0;
  for (int step = 1; step < kSteps; ++step) {
    const double x = marks[own].x + (end_x - marks[own].x) * step / kSteps,
                 y = marks[own].y + (end_y - marks[own].y) * step / kSteps;
    const auto inside = [&](const Box& box) { return x > box.left && x < box.right && y > box.top && y < box.bottom; };
    for (std::size_t i = 0; i < marks.size(); ++i)
      if (i != own && (inside(placed[i].box) || inside(around(marks[i])))) pixels += candidate.distance / kSteps;
  }
  return pixels;
}

/// What it would cost to put the label of `own` there. Square pixels of covered text weigh most.
double cost(const Candidate& candidate, std::size_t own, std::span<const Mark> marks,
            const std::vector<LabelPlace>& placed, const Box& frame) {
  const Box& box = candidate.box;
  const double outside =
      std::max({frame.left - box.left, box.right - frame.right, frame.top - box.top, box.bottom - frame.bottom, 0.0});
  double sum = candidate.distance * 0.6 + outside * 1000 + 8 * crossed(candidate, own, marks, placed);
  for (std::size_t i = 0; i < marks.size(); ++i) {
    if (i != own) sum += 20 * overlap(box, placed[i].box);
    sum += 10 * overlap(box, around(marks[i]));
    for (const Box& whisker : whisker_boxes(marks[i])) sum += 0.4 * overlap(box, whisker);
  }
  return sum;
}

}  // namespace

double Scale::share(double value) const { return (std::log10(value) - low) / (high - low); }

Scale scale_over(std::span<const double> values, double least) {
  if (values.empty()) return {0, least};
  const auto [smallest, largest] = std::minmax_element(values.begin(), values.end());
  QB_EXPECTS(*smallest > 0);
  const double low = std::log10(*smallest), high = std::log10(*largest);
  const double missing = std::max(0.0, least - (high - low)) / 2, room = 0.07 * std::max(high - low, least);
  return {low - missing - room, high + missing + room};
}

std::vector<double> ticks(const Scale& scale) {
  const double decades = scale.high - scale.low;
  std::vector<double> found;
  if (decades < 0.7) {
    const double low = std::pow(10.0, scale.low), high = std::pow(10.0, scale.high),
                 step = round_step((high - low) / 6);
    for (double i = std::ceil(low / step); i * step <= high; ++i) found.push_back(i * step);
    return found;
  }
  const std::vector<double> factors = decades > 4   ? std::vector<double>{1}
                                      : decades > 2 ? std::vector<double>{1, 2, 5}
                                                    : std::vector<double>{1, 2, 3, 5};
  for (double power = std::floor(scale.low); power <= scale.high; ++power)
    for (const double factor : factors) {
      const double value = factor * std::pow(10.0, power);
      if (scale.share(value) >= 0 && scale.share(value) <= 1) found.push_back(value);
    }
  return found;
}

std::vector<LabelPlace> place_labels(std::span<const Mark> marks, const Box& frame, double label_height) {
  constexpr int kPasses = 6;
  constexpr double kLed = 13;
  std::vector<LabelPlace> placed(marks.size());
  for (int pass = 0; pass < kPasses; ++pass)
    for (std::size_t i = 0; i < marks.size(); ++i) {
      double least = std::numeric_limits<double>::infinity();
      for (const Candidate& candidate : candidates(marks[i], label_height)) {
        const double found = cost(candidate, i, marks, placed, frame);
        if (found >= least) continue;
        least = found;
        placed[i] = {candidate.box, candidate.distance > kLed};
      }
    }
  return placed;
}

}  // namespace qb
