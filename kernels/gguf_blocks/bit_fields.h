// How the block types lay codes of a few bits into bytes, and float16 numbers among them.
#pragma once
#include <cstdint>

#include "kernels/base/small_floats.h"

namespace qb {

inline float read_f16(const std::uint8_t* bytes) { return f32_from_f16(std::uint16_t(bytes[0] | bytes[1] << 8)); }

/// Writes the nearest float16, low byte first, and returns it.
inline float write_f16(float value, std::uint8_t* bytes) {
  const std::uint16_t bits = f16_from_f32(value);
  bytes[0] = std::uint8_t(bits & 0xff);
  bytes[1] = std::uint8_t(bits >> 8);
  return f32_from_f16(bits);
}

inline float rounded_to_f16(float value) { return f32_from_f16(f16_from_f32(value)); }

/// A field of each code: `bits` (1, 2 or 4) of it from bit `low` up.
struct BitField {
  int low, bits;
};

/// Fields far apart: byte i of `stride` bytes holds those of codes i, i + stride, i + 2 * stride, ..., low bits first.
inline void gather_fields(const std::uint8_t* codes, int stride, BitField field, std::uint8_t* bytes) {
  const int mask = (1 << field.bits) - 1;
  for (int i = 0; i < stride; ++i) {
    int byte = 0;
    for (int t = 0; t < 8 / field.bits; ++t) byte |= (codes[i + t * stride] >> field.low & mask) << (t * field.bits);
    bytes[i] = std::uint8_t(byte);
  }
}

/// The inverse: ors the fields into `codes`.
inline void scatter_fields(const std::uint8_t* bytes, int stride, BitField field, std::uint8_t* codes) {
  const int mask = (1 << field.bits) - 1;
  for (int i = 0; i < stride; ++i)
    for (int t = 0; t < 8 / field.bits; ++t) {
      std::uint8_t& code = codes[i + t * stride];
      code = std::uint8_t(code | (bytes[i] >> (t * field.bits) & mask) << field.low);
    }
}

/// Fields side by side: byte i of `count` bytes holds those of the 8 / bits codes from i * 8 / bits on.
inline void gather_neighbours(const std::uint8_t* codes, int count, BitField field, std::uint8_t* bytes) {
  for (int i = 0; i < count; ++i) {
    int byte = 0;
    for (int t = 0; t < 8 / field.bits; ++t)
      byte |= (codes[i * (8 / field.bits) + t] >> field.low & ((1 << field.bits) - 1)) << (t * field.bits);
    bytes[i] = std::uint8_t(byte);
  }
}

inline void scatter_neighbours(const std::uint8_t* bytes, int count, BitField field, std::uint8_t* codes) {
  for (int i = 0; i < count; ++i)
    for (int t = 0; t < 8 / field.bits; ++t) {
      std::uint8_t& code = codes[i * (8 / field.bits) + t];
      code = std::uint8_t(code | (bytes[i] >> (t * field.bits) & ((1 << field.bits) - 1)) << field.low);
    }
}

}  // namespace qb
