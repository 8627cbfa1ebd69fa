// Protects the weights that meet large inputs: their channels are enlarged before rounding, then ranges are clipped for
// the least error of the results. Source: Lin et al. 2024, AWQ (arXiv:2306.00978), and its published code
// (mit-han-lab/llm-awq), with the error of each layer's results as the objective in both searches.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/elementary.h"
#include "kernels/base/parallel.h"
#include "quantizers/channel_statistics.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"
#include "quantizers/output_error.h"
#include "quantizers/preparation.h"
#include "quantizers/weight_grid.h"

namespace qb {
namespace {

/// What counts as less: more than instruction sets can disagree by.
constexpr double kBetter = 1 - 1e-4;
constexpr std::int64_t kTile = 128;  // rows whose errors are computed together

/// Searches the exponent for one layer.
class RatioSearch {
 public:
  RatioSearch(const Model& model, const PreparationContext& context, const InputChannels& input,
              const LayerInputs& seen, std::span<const double> magnitudes)
      : input_(input),
        magnitudes_(magnitudes),
        threads_(context.threads),
        grid_(weight_grid(context.spec)),
        run_(run_length(grid_format(grid_, context.spec), input.layer.k)),
        ratios_(integer_of(context.spec, "ratios")),
        weights_(matrix_values(model, input.layer)) {
    for (std::size_t group = 0; group < seen.moments.size(); ++group)
      products_.emplace_back(MeanProducts(seen, group, input.layer.k));
  }

  struct Found {
    double ratio = 0;
    std::vector<double> factors;  ///< [channels]
  };
  Found run() const {
    Found best;
    double least = INFINITY;
    for (std::int64_t i = 0; i < ratios_; ++i) {
      const double ratio = double(i) / double(ratios_);
      std::vector<double> factors = factors_of(ratio);
      const double error = error_of(factors, least);
      if (error >= least * kBetter) continue;
      least = error;
      best = {ratio, std::move(factors)};
    }
    return best;
  }

 private:
  std::vector<double> factors_of(double ratio) const {
    constexpr double kLeast = 1e-4;
    if (ratio == 0) return std::vector<double>(magnitudes_.size(), 1.0);
    std::vector<double> factors;
    for (const double magnitude : magnitudes_)
      factors.push_back(std::max(kLeast, portable_exp(ratio * portable_log(magnitude))));
    const auto [low, high] = std::ranges::minmax(factors);
    for (double& factor : factors) factor /= std::sqrt(low * high);
    return factors;
  }

  /// Mean square change of the results; some value >= `enough` as soon as it cannot be less.
  double error_of(std::span<const double> factors, double enough) const {
    constexpr std::int64_t kTogether = 8 * kTile;
    const std::vector<double> by_column = column_factors(factors);
    double sum = 0;
    for (std::int64_t first = 0; first < input_.layer.n && sum < enough; first += kTogether) {
      const std::int64_t rows = std::min(kTogether, input_.layer.n - first);
      std::vector<double> errors(std::size_t(rows), 0.0);
      parallel_for(rows, threads_, kTile, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end;) {
          const std::int64_t stop = std::min({end, row + kTile, end_of_group(first + row) - first});
          tile_errors(by_column, first + row, std::span(errors).subspan(std::size_t(row), std::size_t(stop - row)));
          row = stop;
        }
      });
      for (const double error : errors) sum += error;
    }
    return sum;
  }

  /// [groups, k]: what each column of a group's rows is multiplied by.
  std::vector<double> column_factors(std::span<const double> factors) const {
    const MatrixWeight& layer = input_.layer;
    std::vector<double> by_column;
    for (std::int64_t group = 0; group < layer.groups; ++group)
      for (std::int64_t j = 0; j < layer.k; ++j)
        by_column.push_back(factors[std::size_t(channel_of(input_, group * (layer.n / layer.groups), j))]);
    return by_column;
  }

  std::int64_t end_of_group(std::int64_t row) const {
    const std::int64_t rows = input_.layer.n / input_.layer.groups;
    return (row / rows + 1) * rows;
  }

  /// Of rows [first, first + errors), all of one group.
  void tile_errors(std::span<const double> by_column, std::int64_t first, std::span<double> errors) const {
    const std::int64_t k = input_.layer.k, group = first / (input_.layer.n / input_.layer.groups);
    const double* factors = by_column.data() + group * k;
    std::vector<float> differences(errors.size() * std::size_t(k)), scaled(static_cast<std::size_t>(k));
    for (std::int64_t r = 0; r < std::ssize(errors); ++r) {
      const float* weights = weights_.data() + (first + r) * k;
      for (std::int64_t j = 0; j < k; ++j) scaled[std::size_t(j)] = float(double(weights[j]) * factors[j]);
      for (std::int64_t begin = 0; begin < k; begin += run_) {
        const std::int64_t end = std::min(begin + run_, k);
        const Grid grid = fit_grid(grid_, std::span(scaled).subspan(std::size_t(begin), std::size_t(end - begin)));
        for (std::int64_t j = begin; j < end; ++j) {
          const float value = value_of(grid, code_of(grid, scaled[std::size_t(j)]));
          differences[std::size_t(r * k + j)] = float(double(value) / factors[j] - double(weights[j]));
        }
      }
    }
    products_[std::size_t(group)].errors(differences.data(), errors);
  }

  const InputChannels& input_;
  std::span<const double> magnitudes_;
  int threads_;
  WeightGrid grid_;
  std::int64_t run_, ratios_;
  std::vector<float> weights_;
  std::vector<QuickProducts> products_;
};

/// Chooses how far the ranges of rows [begin, end), all of one group, are clipped, run by run, and writes codes and
/// parameters.
void clip_rows(const LayerProblem& layer, const WeightGrid& wanted, const MeanProducts& products, std::int64_t begin,
               std::int64_t end, UnpackedMatrix& out) {
  constexpr int kClips = 10;  // 1, 0.95 .. 0.55 of the largest magnitude
  const std::int64_t k = out.k, run = run_length(out.format, k), runs = groups_per_row(out.format, k);
  const auto rows = std::size_t(end - begin);
  std::vector<float> clipped, differences;
  std::vector<Grid> grids(rows), best(rows);
  for (std::int64_t g = 0; g < runs; ++g) {
    const std::int64_t first = g * run, width = std::min(run, k - first);
    const auto values_of = [&](std::size_t r) {
      return std::span<const float>(layer.weights.row(begin + std::int64_t(r)) + first, std::size_t(width));
    };
    std::vector<double> errors(rows), least(rows, INFINITY);
    for (int i = 0; i < kClips; ++i) {
      differences.clear();
      for (std::size_t r = 0; r < rows; ++r) {
        const std::span<const float> values = values_of(r);
        const auto [low, high] = std::ranges::minmax(values);
        const float limit = std::max(-low, high) * (1 - float(i) / (2 * kClips));
        clipped.assign(values.begin(), values.end());
        for (float& value : clipped) value = std::clamp(value, -limit, limit);
        grids[r] = fit_grid(wanted, clipped);
        for (const float value : values) differences.push_back(value_of(grids[r], code_of(grids[r], value)) - value);
      }
      products.errors(differences.data(), std::int64_t(rows), first, width, errors);
      for (std::size_t r = 0; r < rows; ++r)
        if (errors[r] < least[r]) {
          least[r] = errors[r];
          best[r] = grids[r];
        }
    }
    for (std::size_t r = 0; r < rows; ++r) {
      const std::int64_t row = begin + std::int64_t(r);
      std::uint8_t* codes = out.codes.data() + row * k + first;
      for (const float value : values_of(r)) *codes++ = stored_code(wanted, code_of(best[r], value));
      store_grid(wanted, best[r], std::size_t(row * runs + g), out);
    }
  }
}

}  // namespace

std::vector<PreparedLayer> scale_salient_channels(Model& model, const PreparationContext& context) {
  std::vector<InputChannels> inputs = scalable_layers(model, context);
  // A factor on all of a row's weights changes nothing.
  std::erase_if(inputs, [](const InputChannels& input) { return input.channels == input.layer.groups; });
  if (inputs.empty()) return {};
  const std::vector<ChannelStatistics> channels = observe_channels(model, inputs, context.calibration, context.threads);
  std::vector<MatrixWeight> layers;
  for (const InputChannels& input : inputs) layers.push_back(input.layer);
  std::vector<RatioSearch::Found> found(inputs.size());
  visit_inputs(model, layers, context.calibration, context.threads, context.progress,
               [&](std::size_t i, const LayerInputs& seen) {
                 found[i] = RatioSearch(model, context, inputs[i], seen, channels[i].mean).run();
               });
  std::vector<PreparedLayer> done;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string& weight = inputs[i].layer.weight;
    if (found[i].ratio == 0)
      done.push_back({weight, "awq ratio 0, left as it is"});
    else
      done.push_back(apply_factors(model, weight, found[i].factors, fmt::format("awq ratio {}", found[i].ratio)));
  }
  return done;
}

PackedMatrix quantize_awq(const LayerProblem& layer, const QuantSpec& spec) {
  if (!flag_of(spec, "clip")) return quantize_rtn(layer, spec);
  check_moderate(layer);
  QB_EXPECTS(layer.inputs != nullptr);
  const WeightGrid wanted = weight_grid(spec);
  UnpackedMatrix out = grid_matrix(wanted, spec, layer.weights.rows, layer.weights.cols);
  for (std::size_t group = 0; group < layer.inputs->moments.size(); ++group) {
    const MeanProducts products(*layer.inputs, group, out.k);
    for_each_tile(layer, group, kTile,
                  [&](std::int64_t begin, std::int64_t end) { clip_rows(layer, wanted, products, begin, end, out); });
  }
  return pack(out);
}

}  // namespace qb
