#include "quantizers/methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "quantizers/options.h"

namespace qb {

void check_finite(const LayerProblem& layer) {
  const MatrixView<const float>& w = layer.weights;
  for (std::int64_t row = 0; row < w.rows; ++row)
    for (std::int64_t column = 0; column < w.cols; ++column)
      if (!std::isfinite(w.row(row)[column]))
        throw DataError(fmt::format("layer '{}': weight [{}, {}] is {}, only finite weights can be quantized",
                                    layer.node, row, column, w.row(row)[column]));
}

std::vector<float> dense_copy(const MatrixView<const float>& matrix) {
  std::vector<float> values;
  values.reserve(std::size_t(matrix.rows * matrix.cols));
  for (std::int64_t row = 0; row < matrix.rows; ++row)
    values.insert(values.end(), matrix.row(row), matrix.row(row) + matrix.cols);
  return values;
}

PackedMatrix quantize_to_tables(const LayerProblem& layer, const QuantSpec& spec, const FillTable& fill) {
  check_finite(layer);
  UnpackedMatrix out;
  out.format = weight_format(spec, CodeKind::table);
  out.n = layer.weights.rows;
  out.k = layer.weights.cols;
  out.codes.resize(std::size_t(out.n * out.k));
  const std::size_t tables = out.format.sharing == Sharing::tensor ? 1 : std::size_t(out.n);
  const std::size_t places = std::size_t(1) << spec.weight_bits, members = out.codes.size() / tables;
  out.table.resize(tables * places);
  const std::vector<float> values = dense_copy(layer.weights);
  for (std::size_t t = 0; t < tables; ++t)
    fill(std::span(values).subspan(t * members, members), std::span(out.table).subspan(t * places, places),
         out.codes.data() + t * members);
  return pack(out);
}

void store_levels(std::span<const double> levels, std::span<float> table) {
  QB_EXPECTS(!levels.empty() && levels.size() <= table.size());
  for (std::size_t j = 0; j < table.size(); ++j) table[j] = float(levels[std::min(j, levels.size() - 1)]);
}

}  // namespace qb
