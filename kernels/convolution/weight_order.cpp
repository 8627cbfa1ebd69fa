#include "kernels/convolution/weight_order.h"

#include <utility>

#include "kernels/base/error.h"

namespace qb {

namespace {

/// Everything but the codes.
UnpackedMatrix parameters_of(const PackedMatrix& weights) {
  UnpackedMatrix matrix;
  matrix.format = weights.format;
  matrix.n = weights.n;
  matrix.k = weights.k;
  matrix.scales = weights.scales;
  matrix.zeros = weights.zeros;
  matrix.table = weights.table;
  matrix.offsets = weights.offsets;
  matrix.super_scales = weights.super_scales;
  matrix.super_offsets = weights.super_offsets;
  return matrix;
}

/// A row [channels, area] as [area, channels].
template <class T>
void put_channels_last(const std::vector<T>& row, std::int64_t channels, T* to) {
  const std::int64_t area = std::ssize(row) / channels;
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t p = 0; p < area; ++p) to[p * channels + c] = row[std::size_t(c * area + p)];
}

}  // namespace

PackedMatrix rows_of(const PackedMatrix& weights, std::int64_t begin, std::int64_t count) {
  QB_EXPECTS(begin >= 0 && count >= 1 && begin + count <= weights.n);
  if (count == weights.n) return weights;
  if (is_float(weights.format.kind)) {
    const std::vector<float> values = dequantize(weights);
    const MatrixView<const float> rows{values.data() + begin * weights.k, count, weights.k, weights.k};
    return weights.format.kind == CodeKind::f32 ? pack_f32(rows) : pack_bf16(rows);
  }
  UnpackedMatrix part = parameters_of(weights);
  part.n = count;
  if (part.format.scale == ScaleType::dq8) {  // blocks of scales do not end with rows
    part.format.scale = ScaleType::f32;
    part.super_scales.clear();
    part.super_offsets.clear();
  }
  part.codes.resize(std::size_t(count * weights.k));
  for (std::int64_t i = 0; i < count; ++i) unpack_row(weights, begin + i, part.codes.data() + i * weights.k);
  const auto keep = [&](auto& values, bool one_for_all) {
    if (one_for_all || values.empty()) return;
    const std::int64_t per_row = std::ssize(values) / weights.n;
    values = {values.begin() + begin * per_row, values.begin() + (begin + count) * per_row};
  };
  const bool tensor = weights.format.sharing == Sharing::tensor, one_super = weights.format.scale == ScaleType::e4m3;
  keep(part.scales, tensor);
  keep(part.zeros, tensor);
  keep(part.table, tensor);
  keep(part.offsets, tensor);
  keep(part.super_scales, tensor || one_super);
  keep(part.super_offsets, tensor || one_super);
  return pack(part);
}

bool order_is_free(const QuantFormat& format, std::int64_t k) { return groups_per_row(format, k) == 1; }

PackedMatrix channels_last(const PackedMatrix& weights, std::int64_t channels) {
  QB_EXPECTS(order_is_free(weights.format, weights.k) && weights.k % channels == 0);
  if (is_float(weights.format.kind)) {
    std::vector<float> values(std::size_t(weights.n * weights.k)), row(std::size_t(weights.k));
    for (std::int64_t j = 0; j < weights.n; ++j) {
      dequantize_row(weights, j, row.data());
      put_channels_last(row, channels, values.data() + j * weights.k);
    }
    const MatrixView<const float> rows{values.data(), weights.n, weights.k, weights.k};
    return weights.format.kind == CodeKind::f32 ? pack_f32(rows) : pack_bf16(rows);
  }
  UnpackedMatrix matrix = parameters_of(weights);
  matrix.codes.resize(std::size_t(weights.n * weights.k));
  std::vector<std::uint8_t> row(std::size_t(weights.k));
  for (std::int64_t j = 0; j < weights.n; ++j) {
    unpack_row(weights, j, row.data());
    put_channels_last(row, channels, matrix.codes.data() + j * weights.k);
  }
  return pack(matrix);
}

}  // namespace qb
