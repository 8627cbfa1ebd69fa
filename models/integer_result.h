// From the exact sums of an integer product to the elements of a node's result.
//
// Sources: ONNX QLinearConv and QLinearMatMul (opsets 10 and 21) with their reference implementation; ONNX Runtime's
// MLAS, MlasRequantizeOutput; for fixed point kernels/requantize.h.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/ops.h"

namespace qb {

/// How QLinearConv and QLinearMatMul turn a sum C into a code; m = x_scale * w_scale / y_scale, the zero point is z.
/// The ways differ in ties, and by what they round on the way.
enum class CodeRounding : std::uint8_t {
  reference,     ///< round(float(C * m) + z), ties to even: the parity is that of the code
  onnxruntime,   ///< round(float(C) * m) + z, ties to even, m and the product in float32
  fixed_double,  ///< fixed point with two roundings, then + z: gemmlowp, TensorFlow Lite
  fixed_single,  ///< fixed point with one rounding, ties upward, then + z
};
std::string_view name_of(CodeRounding rounding);  ///< "reference", "onnxruntime", "fixed-double", "fixed-single"
std::optional<CodeRounding> code_rounding(std::string_view name);
std::vector<std::string> code_rounding_names();

/// The attribute of QLinear nodes that holds a name of the above; "reference" where it is missing.
inline constexpr std::string_view kRoundingAttribute = "rounding";

/// Sums modulo 2^32, as int32 accumulators wrap.
inline std::int32_t wrapping_sum(std::int32_t a, std::int32_t b) {
  return std::int32_t(std::uint32_t(a) + std::uint32_t(b));
}

/// Writes results: sums as they are for ConvInteger and MatMulInteger, codes for the QLinear operators, whose inputs
/// are x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero and for convolutions a bias (int32).
class IntegerResult {
 public:
  /// `channels` results side by side have their own w_scale. Throws DataError for a rounding that is not known.
  IntegerResult(const OpSite& site, std::int64_t channels);

  /// Reads the scales, zero point and bias of a run; before the first result of it. Throws DataError for scales that
  /// have no multiplier in fixed point.
  void read(const OpRun& run);

  /// Results [at, at + count), all of one channel (and of x_scale's only row).
  void store_channel(std::int64_t channel, const std::int32_t* sums, std::int64_t count, std::int64_t at) const;
  /// Results of a whole row of channels; `row` counts rows of x, whose scales repeat.
  void store_row(std::int64_t row, const std::int32_t* sums) const;

 private:
  void store(const std::int32_t* sums, std::int64_t count, const double* multiplier, bool one, std::int32_t bias,
             std::int64_t at) const;
  double multiplier(std::int64_t row, std::int64_t channel) const;

  bool codes_ = false;
  CodeRounding rounding_ = CodeRounding::reference;
  std::string where_;
  std::int64_t channels_ = 1;
  std::vector<double> x_scale_, w_scale_, multiplier_;  ///< multiplier_: [channels] of the first row
  double y_scale_ = 1;
  std::int32_t zero_ = 0, low_ = 0, high_ = 0;
  const std::int32_t* bias_ = nullptr;
  Tensor* y_ = nullptr;
};

}  // namespace qb
