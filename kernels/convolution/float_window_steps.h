// What float_window_tiles.h needs of float32 weights, and of pairs of bf16 weights where instructions for bf16 lack.
// Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include <cstdint>

#include "kernels/gemm_f32_f32/inlining.h"

namespace qb {

namespace {

/// A line holds one channel's weights.
template <class VectorType, int kVectorRegisters>
struct FloatStep {
  using Vector = VectorType;
  using Pixel = float;
  using Weights = typename Vector::Floats;
  static constexpr int kRegisters = kVectorRegisters, kParts = 1, kChannels = 1;

  template <int kPart>
  static QB_INLINE Weights weights(const unsigned char* line) {
    return Vector::load(reinterpret_cast<const float*>(line));
  }
  static QB_INLINE Weights operand(const float* pixel) { return Vector::all(*pixel); }
  static QB_INLINE void add(Weights& sum, Weights operand, Weights weights) {
    sum = Vector::multiply_add(operand, weights, sum);
  }
};

/// A line holds two channels' weights as bf16; pixels are float32.
template <class VectorType, int kVectorRegisters>
struct WidenedPairs : FloatStep<VectorType, kVectorRegisters> {
  using Vector = VectorType;
  static constexpr int kParts = 2;

  template <int kPart>
  static QB_INLINE typename Vector::Floats weights(const unsigned char* line) {
    const typename Vector::Words pairs = Vector::load_words(line);
    if constexpr (kPart == 0) return Vector::as_floats(Vector::template left<16>(pairs));
    return Vector::as_floats(Vector::both(pairs, Vector::all_words(0xffff0000u)));
  }
};

}  // namespace

}  // namespace qb
