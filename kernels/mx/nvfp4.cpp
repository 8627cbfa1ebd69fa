#include "kernels/mx/nvfp4.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "kernels/base/error.h"
#include "kernels/base/small_floats.h"

namespace qb {

namespace {

constexpr float kLargestElement = 6, kLargestScale = 448, kSmallestScale = 0x1p-6f;

/// The largest magnitude; every value must be finite.
float largest_magnitude(MatrixView<const float> values) {
  float amax = 0;
  for (std::int64_t i = 0; i < values.rows; ++i)
    for (std::int64_t j = 0; j < values.cols; ++j) {
      const float x = values.row(i)[j];
      if (!std::isfinite(x))
        throw DataError(fmt::format("NVFP4: the value {} at row {}, column {} is not finite", x, i, j));
      amax = std::max(amax, std::abs(x));
    }
  return amax;
}

}  // namespace

Nvfp4Matrix quantize_nvfp4(MatrixView<const float> values, Nvfp4Levels levels) {
  Nvfp4Matrix matrix = {values.rows, values.cols, 1, {}, {}};
  const float tensor_scale = largest_magnitude(values) / (kLargestScale * kLargestElement);
  if (levels == Nvfp4Levels::two && tensor_scale > 0) matrix.tensor_scale = tensor_scale;
  for (std::int64_t i = 0; i < values.rows; ++i)
    for (std::int64_t first = 0; first < values.cols; first += kNvfp4Block) {
      const std::span block(values.row(i) + first, std::size_t(std::min(kNvfp4Block, values.cols - first)));
      float amax = 0;
      for (const float x : block) amax = std::max(amax, std::abs(x));
      const float wanted = std::clamp((amax / kLargestElement) / matrix.tensor_scale, kSmallestScale, kLargestScale);
      matrix.scales.push_back(std::uint8_t(encode(kE4M3FN, double(wanted))));
      const float factor = (1.0f / matrix.tensor_scale) / decode(kE4M3FN, matrix.scales.back());
      for (const float x : block) {
        const float scaled = std::clamp(x * factor, -kLargestElement, kLargestElement);
        matrix.codes.push_back(std::uint8_t(encode(kE2M1FN, double(scaled))));
      }
    }
  return matrix;
}

std::vector<float> dequantize_nvfp4(const Nvfp4Matrix& matrix) {
  const std::int64_t blocks = (matrix.cols + kNvfp4Block - 1) / kNvfp4Block;
  std::vector<float> values;
  values.reserve(matrix.codes.size());
  for (std::int64_t i = 0; i < matrix.rows; ++i)
    for (std::int64_t j = 0; j < matrix.cols; ++j) {
      const std::uint8_t block_scale = matrix.scales[std::size_t(i * blocks + j / kNvfp4Block)];
      const float scale = decode(kE4M3FN, block_scale) * matrix.tensor_scale;
      values.push_back(decode(kE2M1FN, matrix.codes[std::size_t(i * matrix.cols + j)]) * scale);
    }
  return values;
}

std::vector<std::uint8_t> packed_nibbles(const Nvfp4Matrix& matrix) {
  std::vector<std::uint8_t> bytes;
  for (std::int64_t i = 0; i < matrix.rows; ++i)
    for (std::int64_t j = 0; j < matrix.cols; j += 2) {
      const std::uint8_t* pair = matrix.codes.data() + i * matrix.cols + j;
      bytes.push_back(std::uint8_t(pair[0] | (j + 1 < matrix.cols ? pair[1] << 4 : 0)));
    }
  return bytes;
}

}  // namespace qb
