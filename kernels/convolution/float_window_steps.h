// What window_tiles.h needs of float32 weights, and of pairs of bf16 weights where instructions for bf16 lack.
// Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include "kernels/convolution/float_windows.h"
#include "kernels/convolution/window_tiles.h"

namespace qb {

namespace {

/// Sums of float32, which y holds while one part of the weights follows another.
template <class VectorType>
struct FloatWindowSums {
  using Vector = VectorType;
  using Args = FloatWindowsArgs;
  using Sums = typename Vector::Floats;
  static constexpr int kLanes = Vector::kLanes, kColumnBytes = 4;
  static constexpr bool kExact = false;

  /// Columns of vector v of a tile of kVectors that exist.
  template <int kVectors>
  static QB_INLINE std::int64_t columns_of(const WindowPanel& panel, int v) {
    return v + 1 < kVectors ? kLanes : panel.columns - v * kLanes;
  }
  static QB_INLINE float* result(const Args& args, const WindowPanel& panel, std::int64_t at) {
    return args.y + at * args.y_stride + panel.column - args.n_begin;
  }
  template <int kVectors>
  static QB_INLINE void begin(const Args& args, const WindowPanel& panel, bool first, std::int64_t at, Sums* sum) {
    const float* y = result(args, panel, at);
    QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[v] =
        first ? Vector::zero() : Vector::load_first(y + v * kLanes, columns_of<kVectors>(panel, v));
  }
  template <int kVectors>
  static QB_INLINE void finish(const Args& args, const WindowPanel& panel, std::int64_t at, const Sums* sum) {
    float* y = result(args, panel, at);
    QB_UNROLL for (int v = 0; v < kVectors; ++v)
        Vector::store_first(y + v * kLanes, sum[v], columns_of<kVectors>(panel, v));
  }
};

/// A line holds one channel's weights.
template <class Vector, int kVectorRegisters>
struct FloatStep : FloatWindowSums<Vector> {
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
template <class Vector, int kVectorRegisters>
struct WidenedPairs : FloatStep<Vector, kVectorRegisters> {
  static constexpr int kParts = 2;

  template <int kPart>
  static QB_INLINE typename Vector::Floats weights(const unsigned char* line) {
    const typename Vector::Words pairs = Vector::load_words(line);
    if constexpr (kPart == 0) return Vector::as_floats(Vector::left(pairs, 16));
    return Vector::as_floats(Vector::both(pairs, Vector::all_words(0xffff0000u)));
  }
};

}  // namespace

}  // namespace qb
