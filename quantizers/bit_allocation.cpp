#include "quantizers/bit_allocation.h"

#include <algorithm>
#include <limits>

#include "kernels/base/error.h"

namespace qb {
namespace {

constexpr std::int64_t kSteps = 1 << 16;
constexpr double kNever = std::numeric_limits<double>::infinity();

/// Least errors by steps of the budget that are used at most, and the choices that lead there.
class Table {
 public:
  Table(std::span<const std::vector<StorageChoice>> layers, std::int64_t budget)
      : layers_(layers),
        step_(std::max<std::int64_t>(1, (budget + kSteps - 1) / kSteps)),
        steps_(budget / step_),
        errors_(std::size_t(steps_ + 1), 0.0) {
    for (const std::vector<StorageChoice>& choices : layers) add(choices);
  }

  double error_at(std::int64_t steps) const { return errors_[std::size_t(steps)]; }
  std::int64_t steps() const { return steps_; }

  Allocation read(std::int64_t steps) const {
    Allocation found;
    if (error_at(steps) == kNever) return found;
    found.chosen.resize(layers_.size());
    for (std::size_t i = layers_.size(); i-- > 0;) {
      const std::size_t choice = taken_[i][std::size_t(steps)];
      found.chosen[i] = choice;
      found.bytes += layers_[i][choice].bytes;
      found.error += layers_[i][choice].error;
      steps -= cost(layers_[i][choice]);
    }
    return found;
  }

 private:
  std::int64_t cost(const StorageChoice& choice) const { return (choice.bytes + step_ - 1) / step_; }

  void add(const std::vector<StorageChoice>& choices) {
    QB_EXPECTS(!choices.empty() && choices.size() < 256);
    std::vector<double> errors(errors_.size(), kNever);
    std::vector<std::uint8_t> taken(errors_.size(), 0);
    for (std::size_t c = 0; c < choices.size(); ++c)
      for (std::int64_t at = cost(choices[c]); at <= steps_; ++at) {
        const double error = errors_[std::size_t(at - cost(choices[c]))] + choices[c].error;
        if (error >= errors[std::size_t(at)]) continue;
        errors[std::size_t(at)] = error;
        taken[std::size_t(at)] = std::uint8_t(c);
      }
    errors_ = std::move(errors);
    taken_.push_back(std::move(taken));
  }

  std::span<const std::vector<StorageChoice>> layers_;
  std::int64_t step_, steps_;
  std::vector<double> errors_;
  std::vector<std::vector<std::uint8_t>> taken_;  ///< by layer and steps
};

}  // namespace

Allocation least_error(std::span<const std::vector<StorageChoice>> layers, std::int64_t budget) {
  if (budget < 0) return {};
  const Table table(layers, budget);
  std::int64_t steps = table.steps();
  while (steps > 0 && table.error_at(steps - 1) == table.error_at(table.steps())) --steps;
  return table.read(steps);
}

Allocation least_bytes(std::span<const std::vector<StorageChoice>> layers, double error) {
  std::int64_t largest = 0;
  for (const std::vector<StorageChoice>& choices : layers)
    largest += std::ranges::max_element(choices, {}, &StorageChoice::bytes)->bytes;
  // Each layer's size is rounded up to a step.
  const Table table(layers, largest + (largest / kSteps + 2) * std::ssize(layers));
  for (std::int64_t steps = 0; steps <= table.steps(); ++steps)
    if (table.error_at(steps) <= error) return table.read(steps);
  return {};
}

}  // namespace qb
