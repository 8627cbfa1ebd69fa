#include "kernels/packed_matrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/base/digest.h"
#include "kernels/base/error.h"

namespace qb {

namespace {

std::int64_t scale_count(const QuantFormat& format, std::int64_t n, std::int64_t k) {
  return format.sharing == Sharing::tensor ? 1 : n * groups_per_row(format, k);
}

void check_format(const QuantFormat& format) {
  if (format.kind == CodeKind::f32) {
    QB_EXPECTS(format == QuantFormat{});
    return;
  }
  QB_EXPECTS(format.bits >= 1 && format.bits <= 8);
  QB_EXPECTS(format.sharing == Sharing::group ? format.group >= 1 : format.group == 0);
  QB_EXPECTS(!format.zeros || format.kind == CodeKind::integer);
}

void check_parameters(const UnpackedMatrix& matrix) {
  const auto sharers = std::size_t(scale_count(matrix.format, matrix.n, matrix.k));
  const auto levels = std::size_t(1) << matrix.format.bits;
  const bool integer = matrix.format.kind == CodeKind::integer;
  QB_EXPECTS(matrix.codes.size() == std::size_t(matrix.n * matrix.k));
  QB_EXPECTS(matrix.scales.size() == (integer ? sharers : 0));
  QB_EXPECTS(matrix.zeros.size() == (matrix.format.zeros ? sharers : 0));
  QB_EXPECTS(matrix.table.size() == (integer ? 0 : sharers * levels));
  QB_EXPECTS(
      std::all_of(matrix.scales.begin(), matrix.scales.end(), [](float s) { return std::isfinite(s) && s > 0; }));
  QB_EXPECTS(std::all_of(matrix.zeros.begin(), matrix.zeros.end(), [&](std::uint8_t z) { return z < levels; }));
  QB_EXPECTS(std::all_of(matrix.table.begin(), matrix.table.end(), [](float v) { return std::isfinite(v); }));
  QB_EXPECTS(std::all_of(matrix.codes.begin(), matrix.codes.end(), [&](std::uint8_t c) { return c < levels; }));
}

std::string digest_of(const PackedMatrix& matrix) {
  Sha256 digest;
  const std::int64_t shape[] = {matrix.n, matrix.k};
  digest.update(to_text(matrix.format)).update(std::as_bytes(std::span(shape))).update(matrix.codes.span());
  digest.update(std::as_bytes(std::span(matrix.scales))).update(std::as_bytes(std::span(matrix.zeros)));
  return digest.update(std::as_bytes(std::span(matrix.table))).hex();
}

}  // namespace

std::int64_t PackedMatrix::parameter_index(std::int64_t row, std::int64_t column) const {
  switch (format.sharing) {
    case Sharing::tensor: return 0;
    case Sharing::channel: return row;
    case Sharing::group: break;
  }
  return row * groups_per_row(format, k) + column / format.group;
}

PackedMatrix pack(const UnpackedMatrix& matrix) {
  check_format(matrix.format);
  QB_EXPECTS(matrix.format.kind != CodeKind::f32 && matrix.n >= 1 && matrix.k >= 1);
  check_parameters(matrix);
  PackedMatrix packed;
  packed.format = matrix.format;
  packed.n = matrix.n;
  packed.k = matrix.k;
  packed.scales = matrix.scales;
  packed.zeros = matrix.zeros;
  packed.table = matrix.table;
  packed.codes = Buffer(std::size_t(packed.n * packed.row_bytes()));
  const int bits = matrix.format.bits;
  for (std::int64_t row = 0; row < matrix.n; ++row) {
    auto* out = packed.codes.as<std::uint8_t>() + row * packed.row_bytes();
    for (std::int64_t j = 0; j < matrix.k; ++j) {
      const unsigned code = unsigned(matrix.codes[std::size_t(row * matrix.k + j)]) << (j * bits % 8);
      std::uint8_t* byte = out + j * bits / 8;
      byte[0] = std::uint8_t(byte[0] | code);
      if (code >> 8) byte[1] = std::uint8_t(byte[1] | code >> 8);
    }
  }
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

void unpack_row(const PackedMatrix& matrix, std::int64_t row, std::uint8_t* codes) {
  QB_EXPECTS(matrix.format.kind != CodeKind::f32 && row >= 0 && row < matrix.n);
  const int bits = matrix.format.bits;
  const auto mask = (1u << bits) - 1u;
  const auto* in = matrix.codes.as<std::uint8_t>() + row * matrix.row_bytes();
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
  if (matrix.format.kind == CodeKind::f32) {
    std::memcpy(values, matrix.codes.as<float>() + row * matrix.k, std::size_t(matrix.row_bytes()));
    return;
  }
  std::vector<std::uint8_t> codes(std::size_t(matrix.k));
  unpack_row(matrix, row, codes.data());
  for (std::int64_t j = 0; j < matrix.k; ++j) {
    const std::int64_t parameter = matrix.parameter_index(row, j);
    const int code = codes[std::size_t(j)];
    if (matrix.format.kind == CodeKind::table)
      values[j] = matrix.table[std::size_t((parameter << matrix.format.bits) + code)];
    else
      values[j] = float(code - zero_of(matrix, row, j)) * matrix.scales[std::size_t(parameter)];
  }
}

std::vector<float> dequantize(const PackedMatrix& matrix) {
  std::vector<float> values(std::size_t(matrix.n * matrix.k));
  for (std::int64_t row = 0; row < matrix.n; ++row) dequantize_row(matrix, row, values.data() + row * matrix.k);
  return values;
}

std::int64_t packed_bytes(const PackedMatrix& matrix) {
  return std::int64_t(matrix.codes.size() + 4 * matrix.scales.size() + matrix.zeros.size() + 4 * matrix.table.size());
}

double bits_per_weight(const PackedMatrix& matrix) {
  return 8.0 * double(packed_bytes(matrix)) / (double(matrix.n) * double(matrix.k));
}

}  // namespace qb
