// A table of shared values for each row, over groups that are scaled and shifted to one range.
// Source: Elhoushi and Johnson 2025, any4: Learned 4-bit Numeric Representation for LLMs (arXiv:2507.04610) and its
// published code. There the errors of a column count by the mean magnitude of its inputs; here, with weight=inputs, by
// their mean square, which is what a squared error of the layer's results asks for.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "quantizers/codebook.h"
#include "quantizers/layer_inputs.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"

namespace qb {
namespace {

/// Values of a group are scale * x + offset with x in +-(2^bits - 1) / 2, as stored.
struct GroupRange {
  float scale = 0, offset = 0;
};

GroupRange range_of(std::span<const float> values, int bits, ScaleType type) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double steps = double((1 << bits) - 1), width = double(*high) - double(*low);
  return {stored_scale(type, float(width / steps)), stored_offset(type, double(*low) / 2 + double(*high) / 2)};
}

/// One row on its way to a table and codes.
struct Row {
  std::vector<float> x;      ///< scaled and shifted where there are groups
  std::vector<float> costs;  ///< of a squared error of x; empty where all are 1
};

Row scale_row(std::span<const float> values, std::span<const float> squares, const QuantSpec& spec,
              UnpackedMatrix& out) {
  if (spec.group == 0) return {{values.begin(), values.end()}, {squares.begin(), squares.end()}};
  Row row;
  const auto group = std::size_t(spec.group);
  const double steps = double((1 << spec.weight_bits) - 1);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % group == 0) {
      const auto members = values.subspan(i, std::min(group, values.size() - i));
      const GroupRange range = range_of(members, spec.weight_bits, out.format.scale);
      out.scales.push_back(range.scale);
      out.offsets.push_back(range.offset);
    }
    const double scale = double(out.scales.back());
    // A scale that its type cannot hold leaves values far outside: the ends of the table serve them.
    row.x.push_back(float(std::clamp((double(values[i]) - double(out.offsets.back())) / scale, -steps, steps)));
    row.costs.push_back(float(std::min(scale * scale * (squares.empty() ? 1.0 : double(squares[i])), 1e30)));
  }
  return row;
}

/// The table of the row, and the codes of its nearest levels.
void code_row(const Row& row, const KMeansOptions& options, std::span<float> levels, std::uint8_t* codes) {
  const bool costly = std::any_of(row.costs.begin(), row.costs.end(), [](float cost) { return cost > 0; });
  const SortedValues data = sort_values(row.x, costly ? std::span<const float>(row.costs) : std::span<const float>());
  store_levels(kmeans(data, int(levels.size()), options).levels, levels);
  encode_nearest(row.x, levels, codes);
}

}  // namespace

PackedMatrix quantize_any4(const LayerProblem& layer, const QuantSpec& spec) {
  check_finite(layer);
  UnpackedMatrix out;
  out.format = weight_format(spec, CodeKind::table);
  out.format.offsets = spec.group > 0;
  out.format.scale = scale_option(spec);
  if (spec.group == 0 && out.format.scale != ScaleType::f32)
    throw InputError(fmt::format("quantizer '{}': option 'scale' means nothing without g<size>", to_text(spec)));
  out.n = layer.weights.rows;
  out.k = layer.weights.cols;
  KMeansOptions options;
  options.init = kmeans_init(option_of(spec, "init"));
  const bool weighs = option_of(spec, "weight") == "inputs";
  const auto places = std::size_t(1) << spec.weight_bits;
  out.codes.resize(std::size_t(out.n * out.k));
  out.table.resize(std::size_t(out.n) * places);
  const std::int64_t rows_per_group = out.n / (weighs ? std::ssize(layer.inputs->moments) : 1);
  std::vector<float> squares;
  for (std::int64_t r = 0; r < out.n; ++r) {
    if (weighs && r % rows_per_group == 0) squares = input_squares(layer, r / rows_per_group);
    const Row row = scale_row({layer.weights.row(r), std::size_t(out.k)}, squares, spec, out);
    code_row(row, options, std::span(out.table).subspan(std::size_t(r) * places, places), out.codes.data() + r * out.k);
  }
  return pack(out);
}

}  // namespace qb
