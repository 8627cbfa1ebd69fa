#include "kernels/gemm_s8_int/scale_forms.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/base/small_floats.h"

namespace qb {

namespace {

bool is_f16(float value) { return f32_from_f16(f16_from_f32(value)) == value; }

int exponent_field(float value) { return int(std::bit_cast<std::uint32_t>(value) >> 23); }

bool is_normal_power(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return value > 0 && (bits & 0x7fffffu) == 0 && bits >> 23 >= 1 && bits >> 23 <= 254;
}

/// The E4M3 code whose value times `unit` is `value`, or -1.
int e4m3_code(float value, float unit) {
  const auto levels = levels_of(LevelSet::e4m3);
  const auto found = std::find_if(levels.begin(), levels.end(), [&](float level) { return level * unit == value; });
  return found == levels.end() ? -1 : int(found - levels.begin());
}

S8IntScale wished(ScaleType type) {
  switch (type) {
    case ScaleType::f32:
    case ScaleType::dq8: break;
    case ScaleType::f16: return S8IntScale::f16;
    case ScaleType::e8m0: return S8IntScale::power;
    case ScaleType::e4m3: return S8IntScale::e4m3;
    case ScaleType::i4:
    case ScaleType::i6:
    case ScaleType::i8: return S8IntScale::steps;
  }
  return S8IntScale::f32;
}

}  // namespace

ScaleForm::ScaleForm(const PackedMatrix& matrix, float unit) : matrix_(matrix), unit_(unit) {
  const S8IntScale form = wished(matrix.format.scale);
  if (form == S8IntScale::steps) {
    lowest_step_ = lowest_offset_step_ = 1 << 8;
    for (std::int64_t row = 0; row < matrix.n; ++row)
      for (std::int64_t g = 0; g < groups_per_row(matrix.format, matrix.k); ++g) {
        lowest_step_ = std::min(lowest_step_, scale_step(matrix, row, g));
        if (matrix.format.offsets) lowest_offset_step_ = std::min(lowest_offset_step_, offset_step(matrix, row, g));
      }
  }
  if (holds(form)) form_ = form;
  if (form_ == S8IntScale::power) {
    const auto [lowest, highest] = std::minmax_element(matrix.scales.begin(), matrix.scales.end());
    lowest_power_ = exponent_field(unit * *lowest);
    highest_power_ = exponent_field(unit * *highest);
  }
}

float ScaleForm::scale(std::int64_t row, std::int64_t group) const {
  return unit_ * matrix_.scales[std::size_t(matrix_.parameter_index(row, group * matrix_.format.group))];
}

float ScaleForm::offset(std::int64_t row, std::int64_t group) const {
  return matrix_.offsets[std::size_t(matrix_.parameter_index(row, group * matrix_.format.group))];
}

float ScaleForm::super(const std::vector<float>& supers, std::int64_t row, std::int64_t group) const {
  return supers[std::size_t(row * supers_per_row(matrix_.format, matrix_.k) +
                            group * matrix_.format.group / kSuperGroup)];
}

bool ScaleForm::holds(S8IntScale form) const {
  const QuantFormat& format = matrix_.format;
  const float e4m3_unit = form == S8IntScale::e4m3 ? unit_ * matrix_.super_scales[0] : 0.0f;
  if (e4m3_unit >= 0x1p119f) return false;
  const auto rows = format.sharing == Sharing::tensor ? 1 : matrix_.n;
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t g = 0; g < groups_per_row(format, matrix_.k); ++g) {
      const float value = scale(row, g);
      switch (form) {
        case S8IntScale::f32: break;
        case S8IntScale::f16:
          if (!is_f16(value) || (format.offsets && !is_f16(offset(row, g)))) return false;
          break;
        case S8IntScale::power:
          if (!is_normal_power(value)) return false;
          break;
        case S8IntScale::e4m3:
          if (e4m3_code(value, e4m3_unit) < 0) return false;
          break;
        case S8IntScale::steps:
          if (scale_step(matrix_, row, g) - lowest_step_ > 255 || !is_f16(unit_ * super(matrix_.super_scales, row, g)))
            return false;
          if (format.offsets && offset_step(matrix_, row, g) - lowest_offset_step_ > 255) return false;
          break;
      }
    }
  return true;
}

void ScaleForm::describe(S8Int& at) const {
  constexpr std::int64_t kBytes[] = {4, 2, 1, 1, 1};  // of each form
  at.form = form_;
  at.scale_bytes = kBytes[std::size_t(form_)];
  at.offset_bytes = matrix_.format.offsets ? at.scale_bytes : 0;
  at.super_bytes = form_ != S8IntScale::steps ? 0 : matrix_.format.offsets ? 4 : 2;
  at.lowest_step = lowest_step_;
  at.lowest_offset_step = lowest_offset_step_;
  at.lowest_power = lowest_power_;
  at.highest_power = highest_power_;
  at.e4m3_unit = form_ == S8IntScale::e4m3 ? unit_ * matrix_.super_scales[0] : 0.0f;
}

void ScaleForm::store(float value, int step, std::byte* out) const {
  const std::uint16_t half = f16_from_f32(value);
  switch (form_) {
    case S8IntScale::f32: std::memcpy(out, &value, 4); break;
    case S8IntScale::f16: std::memcpy(out, &half, 2); break;
    case S8IntScale::power: *out = std::byte(exponent_field(value)); break;
    case S8IntScale::e4m3: *out = std::byte(e4m3_code(value, unit_ * matrix_.super_scales[0])); break;
    case S8IntScale::steps: *out = std::byte(step); break;
  }
}

void ScaleForm::store_scale(std::int64_t row, std::int64_t group, std::byte* out) const {
  store(scale(row, group), form_ == S8IntScale::steps ? scale_step(matrix_, row, group) - lowest_step_ : 0, out);
}

void ScaleForm::store_offset(std::int64_t row, std::int64_t group, std::byte* out) const {
  store(offset(row, group), form_ == S8IntScale::steps ? offset_step(matrix_, row, group) - lowest_offset_step_ : 0,
        out);
}

void ScaleForm::store_super(std::int64_t row, std::int64_t group, std::byte* out) const {
  const std::uint16_t half = f16_from_f32(unit_ * super(matrix_.super_scales, row, group));
  std::memcpy(out, &half, 2);
}

void ScaleForm::store_offset_super(std::int64_t row, std::int64_t group, std::byte* out) const {
  const std::uint16_t half = f16_from_f32(super(matrix_.super_offsets, row, group));
  std::memcpy(out, &half, 2);
}

}  // namespace qb
