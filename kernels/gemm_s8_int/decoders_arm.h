// How the planes of a chunk's codes become signed bytes in NEON registers. Compiled under several instruction-set
// flags: everything is anonymous.
#pragma once
#include <arm_neon.h>

#include "kernels/gemm_s8_int/gemm_s8_int.h"

namespace qb {

namespace {

#define QB_UNROLL _Pragma("GCC unroll 16")  // before registers are assigned: an array that is indexed stays in memory
#define QB_INLINE __attribute__((always_inline)) inline

constexpr int kQuads = 8;  ///< of a chunk

/// IntegerBytes of kBits bits: bytes are the codes, less 128 where they would not be signed.
template <int kBits>
struct IntegerBytes {
  static constexpr int kCodeBits = kBits;
  static constexpr int kLargest = kBits == 8 ? 128 : (1 << kBits) - 1;  ///< magnitude of a byte
  std::int32_t bias = kBits == 8 ? 128 : 0;                             ///< code less byte
  explicit IntegerBytes(const S8Int&) {}
  QB_INLINE int8x16_t bytes(uint8x16_t codes) const {
    return vreinterpretq_s8_u8(kBits == 8 ? veorq_u8(codes, vdupq_n_u8(0x80)) : codes);
  }
};

/// Level sets: bytes are the levels themselves, which lie within [-127, 127].
template <int kBits>
struct LevelBytes {
  static constexpr int kCodeBits = kBits;
  static constexpr int kLargest = 127;
  std::int32_t bias;
  int8x16x4_t table;
  explicit LevelBytes(const S8Int& at) : bias(1 << at.middle_shift) {
    for (int part = 0; part < 4; ++part)
      table.val[part] = vreinterpretq_s8_u8(vsubq_u8(vld1q_u8(at.level + 16 * part), vdupq_n_u8(std::uint8_t(bias))));
  }
  QB_INLINE int8x16_t bytes(uint8x16_t codes) const {
    return kBits > 4 ? vqtbl4q_s8(table, codes) : vqtbl1q_s8(table.val[0], codes);
  }
};

/// Bits of quad kQuad in a plane of kPlane bits, whose lines begin at `lines`.
template <int kPlane, int kQuad>
QB_INLINE uint8x16_t plane_bits(const std::uint8_t* lines) {
  constexpr int kShift = kQuad / kPlane * kPlane;
  uint8x16_t bits = vld1q_u8(lines + 16 * (kQuad % kPlane));
  if constexpr (kShift > 0) bits = vshrq_n_u8(bits, kShift);
  if constexpr (kShift + kPlane < 8) bits = vandq_u8(bits, vdupq_n_u8((1 << kPlane) - 1));
  return bits;
}

/// The codes of quad kQuad of one vector of columns, whose planes begin at `lines`.
template <int kBits, int kQuad>
QB_INLINE uint8x16_t quad_codes(const std::uint8_t* lines) {
  if constexpr (kBits == 8) return vld1q_u8(lines + 16 * kQuad);
  uint8x16_t codes;
  if constexpr (kBits & 4) codes = plane_bits<4, kQuad>(lines);
  if constexpr (kBits & 2) {
    const uint8x16_t part = plane_bits<2, kQuad>(lines + 16 * (kBits & 4));
    if constexpr (kBits & 4)
      codes = vsliq_n_u8(codes, part, 4);
    else
      codes = part;
  }
  if constexpr (kBits & 1) {
    const uint8x16_t part = plane_bits<1, kQuad>(lines + 16 * (kBits & 6));
    if constexpr (kBits > 1)
      codes = vsliq_n_u8(codes, part, kBits & 6);
    else
      codes = part;
  }
  return codes;
}

/// One chunk of 4 * kVectors columns: [vector][quad], each register [column][4 along k].
template <int kVectors>
struct ByteChunk {
  int8x16_t bytes[kVectors][kQuads];
};

template <class Decoder, int kVectors, int kQuad = 0>
QB_INLINE void unpack(const Decoder& decoder, const std::uint8_t* lines, ByteChunk<kVectors>& chunk) {
  QB_UNROLL for (int v = 0; v < kVectors; ++v) chunk.bytes[v][kQuad] =
      decoder.bytes(quad_codes<Decoder::kCodeBits, kQuad>(lines + 16 * v * Decoder::kCodeBits));
  if constexpr (kQuad + 1 < kQuads) unpack<Decoder, kVectors, kQuad + 1>(decoder, lines, chunk);
}

}  // namespace

}  // namespace qb
