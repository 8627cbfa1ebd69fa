#include "models/integer_result.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "kernels/base/small_floats.h"
#include "kernels/base/text.h"
#include "kernels/requantize.h"
#include "models/element_types.h"

namespace qb {

namespace {

constexpr std::array<std::string_view, 4> kNames = {"reference", "onnxruntime", "fixed-double", "fixed-single"};
constexpr std::size_t kXScale = 1, kWScale = 4, kYScale = 6, kYZero = 7, kBias = 8;

std::vector<double> scales_of(const Tensor& tensor) {
  std::vector<double> scales;
  for (std::int64_t i = 0; i < tensor.size(); ++i)
    scales.push_back(double(tensor.dtype == DType::f32 ? tensor.bytes.as<float>()[i]
                                                       : f32_from_f16(tensor.bytes.as<std::uint16_t>()[i])));
  return scales;
}

/// What is the same for all elements of a call.
struct Codes {
  double zero, low, high;
};

/// round(value + zero), saturated; not a number is zero. Adding and subtracting 1.5 * 2^52 rounds to even in a way that
/// is vectorized; values were cut to a byte's range before.
struct Reference {
  Codes codes;
  double prepared(double multiplier) const { return multiplier; }
  std::int32_t operator()(std::int32_t sum, double multiplier) const {
    constexpr double kMagic = 0x1.8p52;
    const double value = double(float(double(sum) * multiplier)) + codes.zero;
    const double above = value < codes.low ? codes.low : value, inside = above > codes.high ? codes.high : above;
    return std::int32_t(((inside == inside ? inside : codes.zero) + kMagic) - kMagic);
  }
};

/// round(value) + zero, saturated, in float32.
struct OnnxRuntime {
  Codes codes;
  float prepared(double multiplier) const { return float(multiplier); }
  std::int32_t operator()(std::int32_t sum, float multiplier) const {
    constexpr float kMagic = 0x1.8p23f;
    const auto low = float(codes.low - codes.zero), high = float(codes.high - codes.zero);
    const float value = float(sum) * multiplier, above = value < low ? low : value,
                inside = above > high ? high : above;
    return std::int32_t(((inside == inside ? inside : 0.0f) + kMagic) - kMagic) + std::int32_t(codes.zero);
  }
};

template <Requantization rounding>
struct FixedPoint {
  Codes codes;
  FixedMultiplier prepared(double multiplier) const { return fixed_multiplier(multiplier); }
  std::int32_t operator()(std::int32_t sum, const FixedMultiplier& multiplier) const {
    const std::int64_t code = requantize(sum, multiplier, rounding) + std::int64_t(codes.zero);
    return std::int32_t(std::clamp(code, std::int64_t(codes.low), std::int64_t(codes.high)));
  }
};

template <class Rounding, class Q>
void store_codes(const Rounding& rounding, const std::int32_t* sums, std::int64_t count, const double* multiplier,
                 bool one, std::int32_t bias, Q* y) {
  if (one) {
    const auto m = rounding.prepared(*multiplier);
    for (std::int64_t i = 0; i < count; ++i) y[i] = Q(rounding(wrapping_sum(sums[i], bias), m));
  } else {
    for (std::int64_t i = 0; i < count; ++i)
      y[i] = Q(rounding(wrapping_sum(sums[i], bias), rounding.prepared(multiplier[i])));
  }
}

}  // namespace

std::string_view name_of(CodeRounding rounding) { return kNames[std::size_t(rounding)]; }

std::optional<CodeRounding> code_rounding(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return std::nullopt;
  return CodeRounding(found - kNames.begin());
}

std::vector<std::string> code_rounding_names() { return {kNames.begin(), kNames.end()}; }

IntegerResult::IntegerResult(const OpSite& site, std::int64_t channels)
    : codes_(site.node->op.starts_with("QLinear")),
      where_(fmt::format("node '{}' ({})", site.node->name, site.node->op)),
      channels_(channels) {
  if (!codes_) return;
  const std::string name = site.node->text_or(kRoundingAttribute, std::string(name_of(rounding_)));
  const std::optional<CodeRounding> rounding = code_rounding(name);
  if (!rounding)
    site.fail(
        fmt::format("attribute '{}' is '{}'{}", kRoundingAttribute, name, suggestion(name, code_rounding_names())));
  rounding_ = *rounding;
  multiplier_.resize(std::size_t(channels));
}

void IntegerResult::read(const OpRun& run) {
  y_ = run.outputs[0];
  if (!codes_) return;
  x_scale_ = scales_of(*run.inputs[kXScale]);
  w_scale_ = scales_of(*run.inputs[kWScale]);
  y_scale_ = scales_of(*run.inputs[kYScale])[0];
  const Tensor& zero = *run.inputs[kYZero];
  zero_ = zero.dtype == DType::u8 ? std::int32_t(zero.as<std::uint8_t>()[0]) : std::int32_t(zero.as<std::int8_t>()[0]);
  low_ = std::int32_t(integer_range(zero.dtype)->low);
  high_ = std::int32_t(integer_range(zero.dtype)->high);
  bias_ = run.inputs.size() > kBias && run.inputs[kBias] ? run.inputs[kBias]->bytes.as<std::int32_t>() : nullptr;
  for (std::int64_t c = 0; c < channels_; ++c) multiplier_[std::size_t(c)] = multiplier(0, c);
  if (rounding_ != CodeRounding::fixed_double && rounding_ != CodeRounding::fixed_single) return;
  for (std::int64_t row = 0; row < std::ssize(x_scale_); ++row)
    for (std::int64_t c = 0; c < channels_; ++c)
      if (const double m = multiplier(row, c); !(m >= 0 && m < 0x1p30))
        throw DataError(fmt::format("{}: sums of channel {} would be multiplied by {}; rounding '{}' takes 0 to 2^30",
                                    where_, c, m, name_of(rounding_)));
}

double IntegerResult::multiplier(std::int64_t row, std::int64_t channel) const {
  const double x = x_scale_[std::size_t(row % std::ssize(x_scale_))],
               w = w_scale_[w_scale_.size() == 1 ? 0 : std::size_t(channel)];
  if (rounding_ == CodeRounding::onnxruntime) return double(float(x) * float(w) / float(y_scale_));
  return x * w / y_scale_;
}

void IntegerResult::store(const std::int32_t* sums, std::int64_t count, const double* multiplier, bool one,
                          std::int32_t bias, std::int64_t at) const {
  const Codes codes{double(zero_), double(low_), double(high_)};
  const auto with = [&](const auto& rounding) {
    if (y_->dtype == DType::u8)
      store_codes(rounding, sums, count, multiplier, one, bias, y_->bytes.as<std::uint8_t>() + at);
    else
      store_codes(rounding, sums, count, multiplier, one, bias, y_->bytes.as<std::int8_t>() + at);
  };
  switch (rounding_) {
    case CodeRounding::reference: return with(Reference{codes});
    case CodeRounding::onnxruntime: return with(OnnxRuntime{codes});
    case CodeRounding::fixed_double: return with(FixedPoint<Requantization::double_rounding>{codes});
    case CodeRounding::fixed_single: return with(FixedPoint<Requantization::single_rounding>{codes});
  }
}

void IntegerResult::store_channel(std::int64_t channel, const std::int32_t* sums, std::int64_t count,
                                  std::int64_t at) const {
  if (!codes_) {
    std::copy(sums, sums + count, y_->bytes.as<std::int32_t>() + at);
    return;
  }
  store(sums, count, &multiplier_[std::size_t(channel)], /*one=*/true, bias_ ? bias_[channel] : 0, at);
}

void IntegerResult::store_row(std::int64_t row, const std::int32_t* sums) const {
  const std::int64_t at = row * channels_;
  if (!codes_) {
    std::copy(sums, sums + channels_, y_->bytes.as<std::int32_t>() + at);
  } else if (x_scale_.size() == 1) {
    store(sums, channels_, multiplier_.data(), /*one=*/false, 0, at);
  } else {
    std::vector<double> own(multiplier_.size());
    for (std::int64_t c = 0; c < channels_; ++c) own[std::size_t(c)] = multiplier(row, c);
    store(sums, channels_, own.data(), /*one=*/false, 0, at);
  }
}

}  // namespace qb
