// NVFP4: blocks of 16 E2M1 values along k with an E4M3 scale, times one float32 of the tensor.
//
// value = element * (block scale * tensor scale), in float32. Source: torchao's nvfp4_tensor; NVIDIA's ModelOpt.
// GGUF's block type of the same name is another one: kernels/gguf_blocks/.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/base/tensor.h"

namespace qb {

inline constexpr std::int64_t kNvfp4Block = 16;

/// A matrix [rows, cols] in blocks along its rows; the last block of a row may be shorter.
struct Nvfp4Matrix {
  std::int64_t rows = 0, cols = 0;
  float tensor_scale = 1;
  std::vector<std::uint8_t> scales;  ///< [rows, ceil(cols / 16)] E4M3, in [2^-6, 448]
  std::vector<std::uint8_t> codes;   ///< [rows, cols] E2M1, one code per byte
};

enum class Nvfp4Levels : std::uint8_t {
  one,  ///< tensor scale 1: blocks whose amax is outside [6 * 2^-6, 6 * 448] lose range
  two,  ///< tensor scale amax / (448 * 6): the largest block scale is 448
};

/// Throws DataError naming the first value that is not finite.
Nvfp4Matrix quantize_nvfp4(MatrixView<const float> values, Nvfp4Levels levels);

std::vector<float> dequantize_nvfp4(const Nvfp4Matrix& matrix);  ///< [rows, cols]

/// Two codes per byte, the one of the even index in the low nibble; rows begin at a byte.
std::vector<std::uint8_t> packed_nibbles(const Nvfp4Matrix& matrix);

}  // namespace qb
