#include "quantizers/methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "kernels/base/parallel.h"
#include "kernels/base/small_floats.h"
#include "quantizers/layer_inputs.h"
#include "quantizers/options.h"

namespace qb {

namespace {

void check_weights(const LayerProblem& layer, float largest, std::string_view accepted) {
  const MatrixView<const float>& w = layer.weights;
  for (std::int64_t row = 0; row < w.rows; ++row)
    for (std::int64_t column = 0; column < w.cols; ++column)
      if (!(std::abs(w.row(row)[column]) <= largest))
        throw DataError(fmt::format("layer '{}': weight [{}, {}] is {}, only {} can be quantized", layer.node, row,
                                    column, w.row(row)[column], accepted));
}

}  // namespace

void check_finite(const LayerProblem& layer) { check_weights(layer, FLT_MAX, "finite weights"); }

void check_moderate(const LayerProblem& layer) { check_weights(layer, 1e30f, "weights up to 1e30"); }

void for_each_tile(const LayerProblem& layer, std::size_t group, std::int64_t tile,
                   const std::function<void(std::int64_t begin, std::int64_t end)>& work) {
  const std::int64_t rows = layer.weights.rows / std::ssize(layer.inputs->moments), first = std::int64_t(group) * rows;
  parallel_for(rows, layer.threads, tile, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; row += tile) work(first + row, first + std::min(row + tile, end));
  });
}

std::vector<float> dense_copy(const MatrixView<const float>& matrix) {
  std::vector<float> values;
  values.reserve(std::size_t(matrix.rows * matrix.cols));
  for (std::int64_t row = 0; row < matrix.rows; ++row)
    values.insert(values.end(), matrix.row(row), matrix.row(row) + matrix.cols);
  return values;
}

PackedMatrix quantize_runs(const LayerProblem& layer, const QuantFormat& format, const FillRun& fill) {
  check_finite(layer);
  const MatrixView<const float>& w = layer.weights;
  UnpackedMatrix out;
  out.format = format;
  out.n = w.rows;
  out.k = w.cols;
  out.codes.resize(std::size_t(w.rows * w.cols));
  if (format.sharing == Sharing::tensor) {
    fill(dense_copy(w), out.codes.data(), out);
    return pack(out);
  }
  const std::int64_t run = format.sharing == Sharing::group ? format.group : w.cols;
  for (std::int64_t row = 0; row < w.rows; ++row)
    for (std::int64_t begin = 0; begin < w.cols; begin += run) {
      const std::int64_t size = std::min(run, w.cols - begin);
      fill({w.row(row) + begin, std::size_t(size)}, out.codes.data() + row * w.cols + begin, out);
    }
  return pack(out);
}

float stored_scale(ScaleType type, float scale) {
  constexpr float kSmallestF16 = 0x1p-24f, kLargestF16 = 65504.0f;
  switch (type) {
    case ScaleType::f16: return f32_from_f16(f16_from_f32(std::clamp(scale, kSmallestF16, kLargestF16)));
    case ScaleType::e8m0: return decode(kE8M0FNU, e8m0_at_or_above(double(std::clamp(scale, FLT_MIN, 0x1p127f))));
    default: return std::max(scale, FLT_MIN);
  }
}

float stored_offset(ScaleType type, double offset) {
  constexpr double kLargestF16 = 65504;
  if (type == ScaleType::f32) return float(offset);
  return float(double(stored_scale(type, float(std::min(std::abs(offset), kLargestF16)))) * (offset < 0 ? -1 : 1));
}

ScaleType scale_option(const QuantSpec& spec) {
  const std::string_view name = option_of(spec, "scale");
  if (name == "f16") return ScaleType::f16;
  if (name == "dq8") return ScaleType::dq8;
  return name == "e8m0" ? ScaleType::e8m0 : ScaleType::f32;
}

std::vector<float> input_squares(const LayerProblem& layer, std::int64_t group) {
  QB_EXPECTS(layer.inputs != nullptr);
  std::vector<float> squares;
  const std::vector<double>& moments = layer.inputs->moments[std::size_t(group)];
  const std::int64_t k = layer.weights.cols;
  for (std::int64_t i = 0; i < k; ++i)
    squares.push_back(float(moments[std::size_t(i * k + i)] / double(layer.inputs->rows)));
  return squares;
}

PackedMatrix quantize_to_tables(const LayerProblem& layer, const QuantSpec& spec, const FillTable& fill) {
  check_finite(layer);
  UnpackedMatrix out;
  out.format = weight_format(spec, CodeKind::table);
  out.n = layer.weights.rows;
  out.k = layer.weights.cols;
  out.codes.resize(std::size_t(out.n * out.k));
  const bool tensor = out.format.sharing == Sharing::tensor;
  const auto row = std::size_t(tensor ? out.n * out.k : out.k), places = std::size_t(1) << spec.weight_bits;
  const std::size_t run = spec.group > 0 ? std::size_t(spec.group) : row;
  const std::size_t tables = out.codes.size() / row * ((row + run - 1) / run);
  out.table.resize(tables * places);
  const std::vector<float> values = dense_copy(layer.weights);
  for (std::size_t table = 0, begin = 0; table < tables; ++table) {
    const std::size_t size = std::min(run, row - begin % row);
    fill(begin, std::span(values).subspan(begin, size), std::span(out.table).subspan(table * places, places),
         out.codes.data() + begin);
    begin += size;
  }
  return pack(out);
}

void store_levels(std::span<const double> levels, std::span<float> table) {
  QB_EXPECTS(!levels.empty() && levels.size() <= table.size());
  for (std::size_t j = 0; j < table.size(); ++j) table[j] = float(levels[std::min(j, levels.size() - 1)]);
}

void encode_nearest(std::span<const float> values, std::span<const float> levels, std::uint8_t* codes) {
  std::vector<double> middles;
  for (std::size_t j = 0; j + 1 < levels.size(); ++j)
    middles.push_back((double(levels[j]) + double(levels[j + 1])) / 2);
  for (std::size_t i = 0; i < values.size(); ++i)
    codes[i] = std::uint8_t(std::lower_bound(middles.begin(), middles.end(), double(values[i])) - middles.begin());
}

}  // namespace qb
