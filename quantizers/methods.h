// The functions behind the rows of registry.cpp, one file each, and what they share.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "quantizers/quantizer.h"

namespace qb {

PackedMatrix quantize_rtn(const LayerProblem& layer, const QuantSpec& spec);
PackedMatrix quantize_kmeans(const LayerProblem& layer, const QuantSpec& spec);
PackedMatrix quantize_lloyd(const LayerProblem& layer, const QuantSpec& spec);
PackedMatrix quantize_entropy(const LayerProblem& layer, const QuantSpec& spec);
PackedMatrix quantize_fp8(const LayerProblem& layer, const QuantSpec& spec);
PackedMatrix quantize_nf4(const LayerProblem& layer, const QuantSpec& spec);  ///< and af4
PackedMatrix quantize_any4(const LayerProblem& layer, const QuantSpec& spec);
PackedMatrix quantize_powers(const LayerProblem& layer, const QuantSpec& spec);  ///< pot and apot
PackedMatrix quantize_mx(const LayerProblem& layer, const QuantSpec& spec);
PackedMatrix quantize_nvfp4(const LayerProblem& layer, const QuantSpec& spec);
PackedMatrix quantize_gguf(const LayerProblem& layer, const QuantSpec& spec);
PackedMatrix quantize_hqq(const LayerProblem& layer, const QuantSpec& spec);
PackedMatrix quantize_ternary(const LayerProblem& layer, const QuantSpec& spec);
PackedMatrix quantize_binary(const LayerProblem& layer, const QuantSpec& spec);
PackedMatrix quantize_gptq(const LayerProblem& layer, const QuantSpec& spec);
PackedMatrix quantize_adaround(const LayerProblem& layer, const QuantSpec& spec);
std::vector<QuantSpec> plan_bits(const Model& model, std::span<const MatrixWeight> layers, const QuantSpec& spec,
                                 const Tensor& calibration, int threads,
                                 const std::function<void(std::string_view)>& progress);
PackedMatrix quantize_awq(const LayerProblem& layer, const QuantSpec& spec);

/// Throws DataError, naming the layer and the first such weight's row and column, unless all weights are finite.
void check_finite(const LayerProblem& layer);

/// The same for weights above 1e30 too: methods that pass errors on add up multiples of weights, which must stay
/// finite.
void check_moderate(const LayerProblem& layer);

/// Calls work(begin, end) for tiles of at most `tile` rows that together are those of one group of the layer's inputs,
/// on the threads that the layer allows.
void for_each_tile(const LayerProblem& layer, std::size_t group, std::int64_t tile,
                   const std::function<void(std::int64_t begin, std::int64_t end)>& work);

/// The elements in row-major order, without the gaps of the view.
std::vector<float> dense_copy(const MatrixView<const float>& matrix);

/// Writes the codes of values that share one scale, and appends their parameters to `out`.
using FillRun = std::function<void(std::span<const float> values, std::uint8_t* codes, UnpackedMatrix& out)>;

/// Packs a matrix run by run: all weights, a row, or a group of one, as the format says. Throws DataError as
/// check_finite.
PackedMatrix quantize_runs(const LayerProblem& layer, const QuantFormat& format, const FillRun& fill);

/// The value nearest to `scale` >= 0 that the type can hold, above 0: what decoding will see, hence what encoding must
/// divide by. e8m0 takes the next power of two upwards, so that nothing is clipped.
float stored_scale(ScaleType type, float scale);

/// The float32, or the float16 of type f16, nearest to an offset.
float stored_offset(ScaleType type, double offset);

/// What the option `scale` names.
ScaleType scale_option(const QuantSpec& spec);

/// The mean square of each of the k inputs that weights of a group of a convolution meet on the calibration samples.
std::vector<float> input_squares(const LayerProblem& layer, std::int64_t group);

/// Fills the levels [2^bits] and the codes of the values that share one table; the first of them stands at `first` in
/// the matrix, row by row.
using FillTable =
    std::function<void(std::size_t first, std::span<const float> values, std::span<float> levels, std::uint8_t* codes)>;

/// Packs a matrix with one table per tensor, channel or group, as the spec says. Throws DataError as check_finite.
PackedMatrix quantize_to_tables(const LayerProblem& layer, const QuantSpec& spec, const FillTable& fill);

/// Levels as float32, the last one repeated where there are fewer than places.
void store_levels(std::span<const double> levels, std::span<float> table);

/// The codes of the nearest of rising levels, the lower one on ties.
void encode_nearest(std::span<const float> values, std::span<const float> levels, std::uint8_t* codes);

}  // namespace qb
