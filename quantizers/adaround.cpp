// Learns for each weight whether it is rounded up or down, for the least error of the layer's results. Source: Nagel et
// al. 2020, AdaRound (arXiv:2004.10568), with the constants of its published code (yhhhli/BRECQ). The error is taken
// exactly, from the second moments of the inputs, in place of batches of samples; what follows the layer is left out.
#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "kernels/base/elementary.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"
#include "quantizers/output_error.h"
#include "quantizers/weight_grid.h"

namespace qb {
namespace {

constexpr std::int64_t kTile = 16;  // rows that are learnt together
constexpr float kStretchLow = -0.1f, kStretch = 1.2f;
constexpr float kFirstBeta = 20, kLastBeta = 2, kWarmUp = 0.2f;
constexpr float kRate = 0.01f, kDecay1 = 0.9f, kDecay2 = 0.999f, kEpsilon = 1e-8f;

/// e^x for |x| <= 80 within 3e-7 of itself, the same bits everywhere: only + - * in float32.
inline float quick_exp(float x) {
  x = std::clamp(x, -80.0f, 80.0f);
  const float shifted = x * std::numbers::log2e_v<float> + 0x1.8p23f;
  const float r = x - (shifted - 0x1.8p23f) * std::numbers::ln2_v<float>;
  float sum = 1.0f / 720;
  for (const float term : {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) sum = sum * r + term;
  return sum * std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) + 127u) << 23);
}

/// ln x for normal x > 0 within 1e-5, likewise.
inline float quick_log(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const float exponent = float(std::int32_t(bits >> 23) - 127);
  const float m = std::bit_cast<float>((bits & 0x7fffffu) | 0x3f800000u);  // [1, 2)
  const float s = (m - 1) / (m + 1), square = s * s;
  return exponent * std::numbers::ln2_v<float> +
         2 * s * (1 + square * (1.0f / 3 + square * (0.2f + square * (1.0f / 7 + square * (1.0f / 9)))));
}

/// What the layer's rows share.
struct Plan {
  WeightGrid grid;
  QuantFormat format;
  std::int64_t steps = 0;
  float weight = 0;  ///< of the term that drives roundings to 0 or 1
};

/// Rows [first, first + rows) of one group on their way: all arrays are [rows, k].
class RoundingTile {
 public:
  RoundingTile(const LayerProblem& layer, const Plan& plan, const MeanProducts& products, std::int64_t first,
               std::int64_t rows)
      : plan_(plan),
        products_(products),
        first_(first),
        rows_(rows),
        k_(layer.weights.cols),
        run_(run_length(plan.format, k_)),
        runs_((k_ + run_ - 1) / run_) {
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::span<const float> row(layer.weights.row(first + r), std::size_t(k_));
      weights_.insert(weights_.end(), row.begin(), row.end());
      for (std::int64_t begin = 0; begin < k_; begin += run_)
        grids_.push_back(fit_grid(plan.grid, row.subspan(std::size_t(begin), std::size_t(std::min(run_, k_ - begin)))));
    }
    floors_.resize(weights_.size());
    learnt_.resize(weights_.size());
    nearest_.resize(weights_.size());
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      const Grid& grid = grid_of(i);
      const float position = weights_[i] / grid.scale, floor = std::floor(position);
      floors_[i] = floor;
      nearest_[i] = code_of(grid, weights_[i]);
      learnt_[i] = -float(portable_log(double(kStretch) / (double(position - floor) - double(kStretchLow)) - 1));
    }
  }

  void learn() {
    std::vector<float> first(weights_.size(), 0.0f), second(weights_.size(), 0.0f), gradient(weights_.size());
    const std::vector<double> nearest_errors = errors_of(nearest_);
    float correction1 = 1, correction2 = 1;
    for (std::int64_t step = 0; step < plan_.steps; ++step) {
      const float done = float(step) / float(plan_.steps);
      const float beta = done < kWarmUp ? 0 : beta_at((done - kWarmUp) / (1 - kWarmUp));
      fill_gradient(nearest_errors, beta, gradient);
      correction1 *= kDecay1;
      correction2 *= kDecay2;
      const float rate = kRate / (1 - correction1), root = 1 / std::sqrt(1 - correction2);
      for (std::size_t i = 0; i < gradient.size(); ++i) {
        first[i] = kDecay1 * first[i] + (1 - kDecay1) * gradient[i];
        second[i] = kDecay2 * second[i] + (1 - kDecay2) * gradient[i] * gradient[i];
        learnt_[i] -= rate * first[i] / (std::sqrt(second[i]) * root + kEpsilon);
      }
    }
  }

  /// Writes the roundings that were learnt; a row for which the nearest ones have the smaller error keeps these.
  void store(UnpackedMatrix& out) const {
    std::vector<std::int32_t> codes(weights_.size());
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const Grid& grid = grid_of(i);
      codes[i] = std::clamp(std::int32_t(floors_[i]) + (learnt_[i] >= 0 ? 1 : 0) + grid.zero, grid.low, grid.high);
    }
    const std::vector<double> learnt_errors = errors_of(codes), nearest_errors = errors_of(nearest_);
    for (std::int64_t r = 0; r < rows_; ++r) {
      const bool better = learnt_errors[std::size_t(r)] < nearest_errors[std::size_t(r)];
      const std::vector<std::int32_t>& chosen = better ? codes : nearest_;
      for (std::int64_t j = 0; j < k_; ++j)
        out.codes[std::size_t((first_ + r) * k_ + j)] = stored_code(plan_.grid, chosen[std::size_t(r * k_ + j)]);
      for (std::int64_t g = 0; g < runs_; ++g)
        store_grid(plan_.grid, grids_[std::size_t(r * runs_ + g)], std::size_t((first_ + r) * runs_ + g), out);
    }
  }

 private:
  const Grid& grid_of(std::size_t i) const {
    const auto row = std::int64_t(i) / k_, column = std::int64_t(i) % k_;
    return grids_[std::size_t(row * runs_ + column / run_)];
  }

  static float beta_at(float part) {
    // cos(pi x) of x in [0, 1] by its series around 1/2: the same bits everywhere.
    const double angle = std::numbers::pi * (0.5 - double(part)), square = angle * angle;
    double sine = 1;
    for (int i = 17; i >= 3; i -= 2) sine = 1 - sine * square / double(i * (i - 1));
    return float(kLastBeta + 0.5 * (kFirstBeta - kLastBeta) * (1 + sine * angle));
  }

  std::vector<double> errors_of(std::span<const std::int32_t> codes) const {
    std::vector<float> differences(weights_.size());
    for (std::size_t i = 0; i < codes.size(); ++i) differences[i] = value_of(grid_of(i), codes[i]) - weights_[i];
    std::vector<double> errors(static_cast<std::size_t>(rows_));
    products_.errors(differences.data(), rows_, 0, k_, errors);
    return errors;
  }

  /// Of k * error / (error of the nearest roundings) + weight * sum(1 - |2h - 1|^beta), by what is learnt.
  void fill_gradient(std::span<const double> nearest_errors, float beta, std::vector<float>& gradient) const {
    std::vector<float> differences(weights_.size()), slopes(weights_.size()), products(weights_.size());
    for (std::int64_t r = 0; r < rows_; ++r)
      for (std::int64_t g = 0; g < runs_; ++g) {
        const Grid& grid = grids_[std::size_t(r * runs_ + g)];
        const float low = float(grid.low - grid.zero), high = float(grid.high - grid.zero);
        const std::int64_t begin = r * k_ + g * run_, end = r * k_ + std::min((g + 1) * run_, k_);
        for (std::int64_t at = begin; at < end; ++at) {
          const auto i = std::size_t(at);
          const float sigmoid = 1 / (1 + quick_exp(-learnt_[i]));
          const float wide = sigmoid * kStretch + kStretchLow, up = std::clamp(wide, 0.0f, 1.0f);
          const float code = floors_[i] + up;
          differences[i] = std::clamp(code, low, high) * grid.scale - weights_[i];
          const bool moves = wide > 0 && wide < 1;
          const float slope = moves ? kStretch * sigmoid * (1 - sigmoid) : 0;
          slopes[i] = code > low && code < high ? slope * grid.scale : 0;
          const float centred = 2 * up - 1, distance = std::max(std::abs(centred), 1e-30f);
          const float pull = 2 * beta * quick_exp((beta - 1) * quick_log(distance));
          gradient[i] = beta > 0 ? -plan_.weight * slope * std::copysign(pull, centred) : 0;
        }
      }
    products_.multiply(differences.data(), rows_, 0, k_, products.data());
    for (std::int64_t r = 0; r < rows_; ++r) {
      const auto factor = float(2 * double(k_) / std::max(nearest_errors[std::size_t(r)], 1e-30));
      for (std::int64_t i = r * k_; i < (r + 1) * k_; ++i)
        gradient[std::size_t(i)] += factor * products[std::size_t(i)] * slopes[std::size_t(i)];
    }
  }

  const Plan& plan_;
  const MeanProducts& products_;
  std::int64_t first_, rows_, k_, run_, runs_;
  std::vector<float> weights_, floors_, learnt_;
  std::vector<std::int32_t> nearest_;
  std::vector<Grid> grids_;
};

}  // namespace

PackedMatrix quantize_adaround(const LayerProblem& layer, const QuantSpec& spec) {
  check_moderate(layer);
  QB_EXPECTS(layer.inputs != nullptr);
  Plan plan;
  plan.grid = weight_grid(spec);
  plan.format = grid_format(plan.grid, spec);
  plan.steps = integer_of(spec, "steps");
  plan.weight = float(number_of(spec, "weight"));
  UnpackedMatrix out = grid_matrix(plan.grid, spec, layer.weights.rows, layer.weights.cols);
  for (std::size_t group = 0; group < layer.inputs->moments.size(); ++group) {
    const MeanProducts products(*layer.inputs, group, out.k);
    for_each_tile(layer, group, kTile, [&](std::int64_t begin, std::int64_t end) {
      RoundingTile tile(layer, plan, products, begin, end - begin);
      tile.learn();
      tile.store(out);
    });
  }
  return pack(out);
}

}  // namespace qb
