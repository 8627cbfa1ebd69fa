// Turns what enters a layer by a random Hadamard matrix, which spreads outliers over all channels, and turns its
// weights back. Source: Ashkboos et al. 2024, QuaRot (arXiv:2404.00456), section 4, with every rotation at run time:
// networks other than transformers have no stream into which it could be folded.
#include <fmt/format.h>

#include <cmath>

#include "kernels/base/random.h"
#include "models/graph_edits.h"
#include "quantizers/options.h"
#include "quantizers/preparation.h"

namespace qb {
namespace {

/// rows [n, channels * columns] of one group turned along their channels, in float64.
void turn_rows(std::span<float> rows, std::int64_t channels, std::int64_t columns, std::int64_t block,
               const float* signs) {
  std::vector<double> values(static_cast<std::size_t>(block));
  const double factor = 1 / std::sqrt(double(block));
  for (std::size_t row = 0; row < rows.size(); row += std::size_t(channels * columns))
    for (std::int64_t begin = 0; begin < channels; begin += block)
      for (std::int64_t column = 0; column < columns; ++column) {
        const auto at = [&](std::int64_t i) -> float& {
          return rows[row + std::size_t((begin + i) * columns + column)];
        };
        for (std::int64_t i = 0; i < block; ++i) values[std::size_t(i)] = double(at(i)) * double(signs[begin + i]);
        for (std::int64_t half = 1; half < block; half *= 2)
          for (std::int64_t i = 0; i < block; ++i) {
            if ((i & half) != 0) continue;
            double &a = values[std::size_t(i)], &b = values[std::size_t(i + half)];
            const double sum = a + b, difference = a - b;
            a = sum;
            b = difference;
          }
        for (std::int64_t i = 0; i < block; ++i) at(i) = float(values[std::size_t(i)] * factor);
      }
}

}  // namespace

std::vector<PreparedLayer> rotate_inputs(Model& model, const PreparationContext& context) {
  std::vector<PreparedLayer> done;
  Random random(std::uint64_t(integer_of(context.spec, "signs")));
  for (const std::string& weight : weights_of(scalable_layers(model, context))) {
    const LayerInput input = layer_input(model, weight);
    const std::int64_t per_group = input.channels / input.layer.groups, block = per_group & -per_group;
    if (block < 2) continue;
    Tensor signs(DType::f32, {input.channels});
    for (float& sign : signs.as<float>()) sign = random.below(2) == 0 ? 1.0f : -1.0f;
    std::vector<float> rows = matrix_values(model, input.layer);
    const std::int64_t group_size = std::ssize(rows) / input.layer.groups;
    for (std::int64_t g = 0; g < input.layer.groups; ++g)
      turn_rows(std::span(rows).subspan(std::size_t(g * group_size), std::size_t(group_size)), per_group, input.columns,
                block, signs.as<float>().data() + g * per_group);
    model.weights.insert_or_assign(weight, weight_tensor(model, input.layer, rows));
    insert_on_input(model, input.layer.node, "quantbench.Hadamard", {{"axis", input.axis}, {"block", block}},
                    std::move(signs));
    done.push_back({weight, fmt::format("turned in blocks of {}", block)});
  }
  return done;
}

}  // namespace qb
