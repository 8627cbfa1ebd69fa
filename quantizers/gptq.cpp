// Rounds column after column, and lets the columns that follow make up for each error. Source: Frantar et al. 2023,
// GPTQ (arXiv:2210.17323); act-order and static groups as in its published code (IST-DASLab/gptq).
#include <fmt/format.h>

#include <Eigen/Cholesky>
#include <algorithm>
#include <numeric>

#include "quantizers/layer_inputs.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"
#include "quantizers/weight_grid.h"

namespace qb {
namespace {

using Floats = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Doubles = Eigen::MatrixXd;
constexpr std::int64_t kBlock = 128;  // columns whose errors are passed on together
constexpr std::int64_t kTile = 32;    // rows that go through all columns together

struct GptqPlan {
  WeightGrid grid;
  QuantFormat format;
  bool by_activation = false;  ///< columns in falling order of their inputs' mean square
  double damp = 0.01;          ///< part of the mean diagonal that is added to the diagonal
};

/// What the rows of one group of a convolution (or all rows) share.
struct Columns {
  std::vector<std::int64_t> order;  ///< order[i]: the column that is rounded i-th
  std::vector<bool> dead;           ///< by i: its input was always 0
  Floats factor;                    ///< [k, k] upper triangular U with U' U = inverse of the damped moments, in order
};

/// U as above: the moments are R R' with R upper triangular, and U is its inverse. Moments that are not positive
/// definite in float64 are damped ten times more, again and again.
Floats inverse_factor(const Doubles& moments, double damp) {
  const Eigen::Index k = moments.rows();
  const double mean = std::max(moments.diagonal().mean(), 1e-300);
  for (;; damp *= 10) {
    Doubles turned = moments.reverse();
    turned.diagonal().array() += damp * mean;
    const Eigen::LLT<Doubles> factored(turned);
    if (factored.info() != Eigen::Success) continue;
    const Doubles inverse = factored.matrixL().solve(Doubles::Identity(k, k));
    if (inverse.allFinite()) return inverse.reverse().cast<float>();
  }
}

Columns plan_columns(const LayerInputs& inputs, std::size_t group, std::int64_t k, const GptqPlan& plan) {
  using Moments = Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
  const Moments sums(inputs.moments[group].data(), k, k);
  Columns columns;
  columns.order.resize(std::size_t(k));
  std::iota(columns.order.begin(), columns.order.end(), 0);
  if (plan.by_activation)
    std::stable_sort(columns.order.begin(), columns.order.end(),
                     [&](std::int64_t a, std::int64_t b) { return sums(a, a) > sums(b, b); });
  Doubles moments(k, k);
  const double factor = 2 / double(std::max<std::int64_t>(inputs.rows, 1));
  for (std::int64_t i = 0; i < k; ++i)
    for (std::int64_t j = 0; j < k; ++j)
      moments(i, j) = factor * sums(columns.order[std::size_t(i)], columns.order[std::size_t(j)]);
  for (std::int64_t i = 0; i < k; ++i) {
    columns.dead.push_back(moments(i, i) == 0);
    if (columns.dead.back()) moments(i, i) = 1;
  }
  columns.factor = inverse_factor(moments, plan.damp);
  return columns;
}

/// One row on its way through the columns: its weights in their order, and what becomes of them.
struct GptqRow {
  float* weights;           ///< [k]; changes as errors are passed on
  std::vector<Grid> grids;  ///< by group of weights
  std::uint8_t* codes;      ///< [k] by column
};

/// Rounds columns [begin, end) of a row and writes what each error means for later columns: e = (w - q) / U[i, i].
void round_block(const GptqPlan& plan, const Columns& columns, std::int64_t begin, std::int64_t end, GptqRow& row,
                 float* errors) {
  const std::int64_t k = std::ssize(columns.order), run = run_length(plan.format, k);
  const bool refits = !plan.by_activation && run < k;
  for (std::int64_t i = begin; i < end; ++i) {
    const auto column = columns.order[std::size_t(i)];
    Grid& grid = row.grids[std::size_t(column / run)];
    if (refits && i % run == 0) grid = fit_grid(plan.grid, {row.weights + i, std::size_t(std::min(run, k - i))});
    const float weight = row.weights[i];
    const std::int32_t code = code_of(grid, weight);
    row.codes[column] = stored_code(plan.grid, code);
    const float error = (weight - value_of(grid, code)) / columns.factor(i, i);
    errors[i - begin] = error;
    const float* shares = &columns.factor(i, 0);
    for (std::int64_t j = i + 1; j < end; ++j) row.weights[j] -= error * shares[j];
  }
}

/// Rows [begin, end) of the layer through all columns.
void round_rows(const LayerProblem& layer, const GptqPlan& plan, const Columns& columns, std::int64_t begin,
                std::int64_t end, UnpackedMatrix& out) {
  const std::int64_t k = layer.weights.cols, run = run_length(plan.format, k), groups = (k + run - 1) / run;
  Floats weights(end - begin, k), errors(end - begin, kBlock);
  std::vector<GptqRow> rows;
  for (std::int64_t j = begin; j < end; ++j) {
    // As the published code: the grid of a row is fitted to all of its weights, those of groups to dead ones as zeros.
    std::vector<float> source(layer.weights.row(j), layer.weights.row(j) + k);
    for (std::int64_t i = 0; i < k; ++i) {
      float& weight = source[std::size_t(columns.order[std::size_t(i)])];
      if (columns.dead[std::size_t(i)] && groups > 1) weight = 0;
      weights(j - begin, i) = columns.dead[std::size_t(i)] ? 0.0f : weight;
    }
    GptqRow row{&weights(j - begin, 0), {}, out.codes.data() + j * k};
    for (std::int64_t g = 0; g < groups; ++g)
      row.grids.push_back(fit_grid(plan.grid, {source.data() + g * run, std::size_t(std::min(run, k - g * run))}));
    rows.push_back(std::move(row));
  }
  for (std::int64_t first = 0; first < k; first += kBlock) {
    const std::int64_t last = std::min(first + kBlock, k), rest = k - last;
    for (std::int64_t r = 0; r < end - begin; ++r)
      round_block(plan, columns, first, last, rows[std::size_t(r)], &errors(r, 0));
    if (rest > 0)
      weights.rightCols(rest).noalias() -=
          errors.leftCols(last - first) * columns.factor.block(first, last, last - first, rest);
  }
  for (std::int64_t j = begin; j < end; ++j)
    for (std::int64_t g = 0; g < groups; ++g)
      store_grid(plan.grid, rows[std::size_t(j - begin)].grids[std::size_t(g)], std::size_t(j * groups + g), out);
}

}  // namespace

PackedMatrix quantize_gptq(const LayerProblem& layer, const QuantSpec& spec) {
  check_moderate(layer);
  QB_EXPECTS(layer.inputs != nullptr);
  GptqPlan plan;
  plan.grid = weight_grid(spec);
  plan.format = grid_format(plan.grid, spec);
  plan.by_activation = option_of(spec, "order") == "act";
  plan.damp = number_of(spec, "damp");
  UnpackedMatrix out = grid_matrix(plan.grid, spec, layer.weights.rows, layer.weights.cols);
  for (std::size_t group = 0; group < layer.inputs->moments.size(); ++group) {
    const Columns columns = plan_columns(*layer.inputs, group, out.k, plan);
    for_each_tile(layer, group, kTile,
                  [&](std::int64_t begin, std::int64_t end) { round_rows(layer, plan, columns, begin, end, out); });
  }
  return pack(out);
}

}  // namespace qb
