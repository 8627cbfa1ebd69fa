#include "kernels/packed_matrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/base/digest.h"
#include "kernels/base/error.h"
#include "kernels/base/small_floats.h"
#include "kernels/levels.h"

namespace qb {

namespace {

std::int64_t scale_count(const QuantFormat& format, std::int64_t n, std::int64_t k) {
  return format.sharing == Sharing::tensor ? 1 : n * groups_per_row(format, k);
}

bool is_f16(float value) { return f32_from_f16(f16_from_f32(value)) == value; }
bool is_power_of_two(float value) {
  int exponent = 0;
  return value > 0 && std::frexp(value, &exponent) == 0.5f;
}
bool is_e4m3_multiple(float value, float unit) {
  const auto levels = levels_of(LevelSet::e4m3);
  return std::any_of(levels.begin(), levels.end(), [&](float level) { return level * unit == value; });
}

int integer_bits(ScaleType scale) { return scale == ScaleType::i4 ? 4 : scale == ScaleType::i6 ? 6 : 8; }

/// The integer that `value` is the multiple of `unit` by; 0 for a unit of 0.
int step_of(float value, float unit) { return unit == 0.0f ? 0 : int(std::lrint(value / unit)); }

bool is_step(float value, float unit, ScaleType scale) {
  const int step = std::abs(value) <= 1024.0f * std::abs(unit) ? step_of(value, unit) : 1024;
  const int bits = integer_bits(scale);
  return step >= -(1 << (bits - 1)) && step < 1 << bits && float(step) * unit == value;
}

/// Whether a dynamic level times `unit`, plus `middle`, is the value: they rise with the levels.
bool is_dynamic(float value, float unit, float middle) {
  const auto levels = dynamic_levels();
  const auto found = std::lower_bound(levels.begin(), levels.end(), value,
                                      [&](float level, float wanted) { return level * unit + middle < wanted; });
  return found != levels.end() && *found * unit + middle == value;
}

/// True when every value can be stored as the format says. `supers` belong to `values`, [n, supers_per_row].
bool storable(const UnpackedMatrix& matrix, const std::vector<float>& values, const std::vector<float>& supers) {
  const std::int64_t groups = groups_per_row(matrix.format, matrix.k);
  const std::int64_t per_super = matrix.format.group > 0 ? kSuperGroup / matrix.format.group : 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::int64_t row = std::int64_t(i) / groups, group = std::int64_t(i) % groups;
    const auto super = [&] {
      return supers[std::size_t(row * supers_per_row(matrix.format, matrix.k) + group / per_super)];
    };
    bool held = std::isfinite(values[i]);
    switch (matrix.format.scale) {
      case ScaleType::f32: break;
      case ScaleType::f16: held = held && is_f16(values[i]); break;
      case ScaleType::e8m0: held = held && is_power_of_two(values[i]); break;
      case ScaleType::e4m3: held = held && is_e4m3_multiple(values[i], supers[0]); break;
      case ScaleType::i4:
      case ScaleType::i6:
      case ScaleType::i8: held = held && is_step(values[i], super(), matrix.format.scale); break;
      case ScaleType::dq8:
        held = held && is_dynamic(values[i], supers[i / std::size_t(kScaleBlock)], matrix.super_offsets[0]);
        break;
    }
    if (!held) return false;
  }
  return true;
}

void check_parameters(const UnpackedMatrix& matrix) {
  const QuantFormat& format = matrix.format;
  const auto sharers = std::size_t(scale_count(format, matrix.n, matrix.k));
  const auto supers = std::size_t(matrix.n * supers_per_row(format, matrix.k));
  const bool tables = format.kind == CodeKind::table, scaled = !tables || format.offsets;
  const bool e4m3 = format.scale == ScaleType::e4m3;
  const bool twice = format.scale == ScaleType::dq8, f32_supers = e4m3 || twice;
  const std::size_t blocks = (sharers + std::size_t(kScaleBlock) - 1) / std::size_t(kScaleBlock);
  QB_EXPECTS(matrix.codes.size() == std::size_t(matrix.n * matrix.k));
  QB_EXPECTS(matrix.scales.size() == (scaled ? sharers : 0));
  QB_EXPECTS(matrix.zeros.size() == (format.zeros ? sharers : 0));
  QB_EXPECTS(matrix.offsets.size() == (format.offsets ? sharers : 0));
  QB_EXPECTS(matrix.super_scales.size() == (e4m3 ? 1 : twice ? blocks : supers));
  QB_EXPECTS(matrix.super_offsets.size() == (twice ? 1 : format.offsets ? supers : 0));
  QB_EXPECTS(matrix.table.size() == (!tables ? 0 : (scaled ? std::size_t(matrix.n) : sharers) << format.bits));
  QB_EXPECTS(!e4m3 || (std::isfinite(matrix.super_scales[0]) && matrix.super_scales[0] > 0));
  for (const auto* list : {&matrix.super_scales, &matrix.super_offsets})
    QB_EXPECTS(std::all_of(list->begin(), list->end(),
                           [&](float s) { return std::isfinite(s) && (f32_supers || is_f16(s)); }));
  QB_EXPECTS(!twice || *std::min_element(matrix.super_scales.begin(), matrix.super_scales.end()) >= 0);
  QB_EXPECTS(storable(matrix, matrix.scales, matrix.super_scales));
  QB_EXPECTS(storable(matrix, matrix.offsets, matrix.super_offsets));
  const auto codes = 1 << format.bits;
  QB_EXPECTS(std::all_of(matrix.zeros.begin(), matrix.zeros.end(), [&](std::uint8_t z) { return z < codes; }));
  QB_EXPECTS(std::all_of(matrix.table.begin(), matrix.table.end(), [](float v) { return std::isfinite(v); }));
  const auto levels = levels_of(format.levels);
  QB_EXPECTS(std::all_of(matrix.codes.begin(), matrix.codes.end(), [&](std::uint8_t c) {
    return format.kind == CodeKind::levels ? c < levels.size() && std::isfinite(levels[c]) : c < codes;
  }));
}

void pack_row(const QuantFormat& format, const std::uint8_t* codes, std::int64_t k, std::uint8_t* out) {
  if (format.levels == LevelSet::trit) {
    constexpr std::uint8_t kPlace[] = {1, 3, 9, 27, 81};
    for (std::int64_t j = 0; j < k; ++j) out[j / 5] = std::uint8_t(out[j / 5] + codes[j] * kPlace[j % 5]);
    return;
  }
  for (std::int64_t j = 0; j < k; ++j) {
    const unsigned code = unsigned(codes[j]) << (j * format.bits % 8);
    std::uint8_t* byte = out + j * format.bits / 8;
    byte[0] = std::uint8_t(byte[0] | code);
    if (code >> 8) byte[1] = std::uint8_t(byte[1] | code >> 8);
  }
}

std::string digest_of(const PackedMatrix& matrix) {
  Sha256 digest;
  const std::int64_t shape[] = {matrix.n, matrix.k};
  digest.update(to_text(matrix.format)).update(std::as_bytes(std::span(shape))).update(matrix.codes.span());
  digest.update(std::as_bytes(std::span(matrix.scales))).update(std::as_bytes(std::span(matrix.zeros)));
  for (const auto* list : {&matrix.offsets, &matrix.super_scales, &matrix.super_offsets})
    digest.update(std::as_bytes(std::span(*list)));
  return digest.update(std::as_bytes(std::span(matrix.table))).hex();
}

std::size_t super_index(const PackedMatrix& matrix, std::int64_t row, std::int64_t group) {
  return std::size_t(row * supers_per_row(matrix.format, matrix.k) + group * matrix.format.group / kSuperGroup);
}

}  // namespace

std::span<const float> levels_of(LevelSet levels) {
  switch (levels) {
    case LevelSet::none: break;
    case LevelSet::binary: return kBinaryLevels;
    case LevelSet::ternary:
    case LevelSet::trit: return kTernaryLevels;
    case LevelSet::e2m1: return kE2m1Levels;
    case LevelSet::e2m3: return kE2m3Levels;
    case LevelSet::e3m2: return kE3m2Levels;
    case LevelSet::e4m3: return kE4m3Levels;
    case LevelSet::e5m2: return kE5m2Levels;
    case LevelSet::nf4: return kNf4Levels;
    case LevelSet::af4: return kAf4Levels;
    case LevelSet::iq4nl: return kIq4NlLevels;
    case LevelSet::pot3:
    case LevelSet::pot4:
    case LevelSet::pot5: return pot_set(bits_of(levels));
    case LevelSet::apot4:
    case LevelSet::apot5:
    case LevelSet::apot6:
    case LevelSet::apot7: return apot_set(bits_of(levels));
  }
  return {};
}

std::int64_t PackedMatrix::parameter_index(std::int64_t row, std::int64_t column) const {
  switch (format.sharing) {
    case Sharing::tensor: return 0;
    case Sharing::channel: return row;
    case Sharing::group: break;
  }
  return row * groups_per_row(format, k) + column / format.group;
}

PackedMatrix pack(const UnpackedMatrix& matrix) {
  QB_EXPECTS(fault_of(matrix.format).empty());
  QB_EXPECTS(!is_float(matrix.format.kind) && matrix.n >= 1 && matrix.k >= 1);
  check_parameters(matrix);
  PackedMatrix packed;
  packed.format = matrix.format;
  packed.n = matrix.n;
  packed.k = matrix.k;
  packed.scales = matrix.scales;
  packed.zeros = matrix.zeros;
  packed.offsets = matrix.offsets;
  packed.super_scales = matrix.super_scales;
  packed.super_offsets = matrix.super_offsets;
  packed.table = matrix.table;
  packed.codes = Buffer(std::size_t(packed.n * packed.row_bytes()));
  for (std::int64_t row = 0; row < matrix.n; ++row)
    pack_row(matrix.format, matrix.codes.data() + row * matrix.k, matrix.k,
             packed.codes.as<std::uint8_t>() + row * packed.row_bytes());
  packed.digest = digest_of(packed);
  return packed;
}

PackedMatrix pack_f32(MatrixView<const float> weights) {
  QB_EXPECTS(weights.rows >= 1 && weights.cols >= 1 && weights.stride >= weights.cols);
  PackedMatrix packed;
  packed.n = weights.rows;
  packed.k = weights.cols;
  packed.codes = Buffer(std::size_t(packed.n * packed.row_bytes()));
  for (std::int64_t row = 0; row < packed.n; ++row)
    std::memcpy(packed.codes.as<float>() + row * packed.k, weights.row(row), std::size_t(packed.row_bytes()));
  packed.digest = digest_of(packed);
  return packed;
}

PackedMatrix pack_bf16(MatrixView<const float> weights) {
  QB_EXPECTS(weights.rows >= 1 && weights.cols >= 1 && weights.stride >= weights.cols);
  PackedMatrix packed;
  packed.format = parse_quant_format("bf16");
  packed.n = weights.rows;
  packed.k = weights.cols;
  packed.codes = Buffer(std::size_t(packed.n * packed.row_bytes()));
  for (std::int64_t row = 0; row < packed.n; ++row)
    std::transform(weights.row(row), weights.row(row) + packed.k, packed.codes.as<std::uint16_t>() + row * packed.k,
                   bf16_from_f32);
  packed.digest = digest_of(packed);
  return packed;
}

void unpack_row(const PackedMatrix& matrix, std::int64_t row, std::uint8_t* codes) {
  QB_EXPECTS(!is_float(matrix.format.kind) && row >= 0 && row < matrix.n);
  const auto* in = matrix.codes.as<std::uint8_t>() + row * matrix.row_bytes();
  if (matrix.format.levels == LevelSet::trit) {
    constexpr int kPlace[] = {1, 3, 9, 27, 81};
    for (std::int64_t j = 0; j < matrix.k; ++j) codes[j] = std::uint8_t(in[j / 5] / kPlace[j % 5] % 3);
    return;
  }
  const int bits = matrix.format.bits;
  const auto mask = (1u << bits) - 1u;
  for (std::int64_t j = 0; j < matrix.k; ++j) {
    const std::uint8_t* byte = in + j * bits / 8;
    const auto shift = unsigned(j * bits % 8);
    const unsigned two = shift + unsigned(bits) > 8 ? unsigned(byte[0]) | unsigned(byte[1]) << 8 : byte[0];
    codes[j] = std::uint8_t(two >> shift & mask);
  }
}

std::vector<std::uint8_t> unpack_codes(const PackedMatrix& matrix) {
  std::vector<std::uint8_t> codes(std::size_t(matrix.n * matrix.k));
  for (std::int64_t row = 0; row < matrix.n; ++row) unpack_row(matrix, row, codes.data() + row * matrix.k);
  return codes;
}

int zero_of(const PackedMatrix& matrix, std::int64_t row, std::int64_t column) {
  if (!matrix.format.zeros) return 1 << (matrix.format.bits - 1);
  return matrix.zeros[std::size_t(matrix.parameter_index(row, column))];
}

void dequantize_row(const PackedMatrix& matrix, std::int64_t row, float* values) {
  QB_EXPECTS(row >= 0 && row < matrix.n);
  const QuantFormat& format = matrix.format;
  if (format.kind == CodeKind::f32) {
    std::memcpy(values, matrix.codes.as<float>() + row * matrix.k, std::size_t(matrix.row_bytes()));
    return;
  }
  if (format.kind == CodeKind::bf16) {
    const auto* bits = matrix.codes.as<std::uint16_t>() + row * matrix.k;
    std::transform(bits, bits + matrix.k, values, f32_from_bf16);
    return;
  }
  std::vector<std::uint8_t> codes(std::size_t(matrix.k));
  unpack_row(matrix, row, codes.data());
  const auto levels = levels_of(format.levels);
  for (std::int64_t j = 0; j < matrix.k; ++j) {
    const auto parameter = std::size_t(matrix.parameter_index(row, j));
    const auto code = codes[std::size_t(j)];
    if (format.kind == CodeKind::table && format.offsets)
      values[j] =
          matrix.table[std::size_t(row << format.bits) + code] * matrix.scales[parameter] + matrix.offsets[parameter];
    else if (format.kind == CodeKind::table)
      values[j] = matrix.table[(parameter << format.bits) + code];
    else if (format.kind == CodeKind::levels)
      values[j] = levels[code] * matrix.scales[parameter];
    else if (format.offsets)
      values[j] = float(code) * matrix.scales[parameter] + matrix.offsets[parameter];
    else
      values[j] = float(code - zero_of(matrix, row, j)) * matrix.scales[parameter];
  }
}

std::vector<float> dequantize(const PackedMatrix& matrix) {
  std::vector<float> values(std::size_t(matrix.n * matrix.k));
  for (std::int64_t row = 0; row < matrix.n; ++row) dequantize_row(matrix, row, values.data() + row * matrix.k);
  return values;
}

int scale_step(const PackedMatrix& matrix, std::int64_t row, std::int64_t group) {
  return step_of(matrix.scales[std::size_t(row * groups_per_row(matrix.format, matrix.k) + group)],
                 matrix.super_scales[super_index(matrix, row, group)]);
}

int offset_step(const PackedMatrix& matrix, std::int64_t row, std::int64_t group) {
  return step_of(matrix.offsets[std::size_t(row * groups_per_row(matrix.format, matrix.k) + group)],
                 matrix.super_offsets[super_index(matrix, row, group)]);
}

std::int64_t packed_bytes(const PackedMatrix& matrix) {
  constexpr std::int64_t kBits[] = {32, 16, 8, 8, 4, 6, 8, 8};  // of each ScaleType
  const std::size_t parameters = matrix.scales.size() + matrix.offsets.size();
  const std::size_t supers = matrix.super_scales.size() + matrix.super_offsets.size();
  const std::int64_t parameter_bits = std::int64_t(parameters) * kBits[std::size_t(matrix.format.scale)];
  const bool f32_supers = matrix.format.scale == ScaleType::e4m3 || matrix.format.scale == ScaleType::dq8;
  const std::int64_t super_bytes = std::int64_t(supers) * (f32_supers ? 4 : 2);
  return std::int64_t(matrix.codes.size() + matrix.zeros.size() + 4 * matrix.table.size()) + (parameter_bits + 7) / 8 +
         super_bytes;
}

double bits_per_weight(const PackedMatrix& matrix) {
  return 8.0 * double(packed_bytes(matrix)) / (double(matrix.n) * double(matrix.k));
}

}  // namespace qb
