// Rows that become columns. Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include <cstdint>

#include "kernels/gemm_f32_f32/inlining.h"

namespace qb {

namespace {

/// Lane j of x[i] and lane i of x[j] change places: each round deals the upper half of the vectors between the lower.
template <class Vector>
QB_INLINE void turn(typename Vector::Floats (&x)[Vector::kLanes]) {
  constexpr int kHalf = Vector::kLanes / 2;
  QB_UNROLL for (int round = 1; round < Vector::kLanes; round *= 2) {
    typename Vector::Floats dealt[Vector::kLanes];
    QB_UNROLL for (int i = 0; i < kHalf; ++i) {
      dealt[2 * i] = Vector::deal_low(x[i], x[i + kHalf]);
      dealt[2 * i + 1] = Vector::deal_high(x[i], x[i + kHalf]);
    }
    QB_UNROLL for (int i = 0; i < Vector::kLanes; ++i) x[i] = dealt[i];
  }
}

/// Loads `rows` x `columns`, at most as many as a vector has lanes, turned: x[c] holds column c. Zeros elsewhere.
template <class Vector>
QB_INLINE void load_turned(const float* from, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                           typename Vector::Floats (&x)[Vector::kLanes]) {
  QB_UNROLL for (int r = 0; r < Vector::kLanes; ++r) x[r] =
      r < rows ? Vector::load_first(from + r * stride, columns) : Vector::zero();
  turn<Vector>(x);
}

/// Panel to[c][r] = from[r][c] for `columns` columns, whose lines are whole vectors, zeros behind `rows`.
template <class Vector>
void turn_into_panel(const float* from, std::int64_t stride, std::int64_t rows, std::int64_t columns, float* to,
                     std::int64_t width) {
  constexpr std::int64_t kLanes = Vector::kLanes;
  for (std::int64_t r = 0; r < rows; r += kLanes)
    for (std::int64_t c = 0; c < columns; c += kLanes) {
      typename Vector::Floats x[kLanes];
      load_turned<Vector>(from + r * stride + c, stride, rows - r, columns - c, x);
      QB_UNROLL for (int i = 0; i < kLanes; ++i) {
        if (i < columns - c) Vector::store(to + (c + i) * width + r, x[i]);
      }
    }
}

/// to[r][c] = from[c][r] of such a panel.
template <class Vector>
void turn_from_panel(const float* from, std::int64_t width, std::int64_t rows, std::int64_t columns, float* to,
                     std::int64_t stride) {
  constexpr std::int64_t kLanes = Vector::kLanes;
  for (std::int64_t r = 0; r < rows; r += kLanes)
    for (std::int64_t c = 0; c < columns; c += kLanes) {
      typename Vector::Floats x[kLanes];
      load_turned<Vector>(from + c * width + r, width, columns - c, kLanes, x);
      QB_UNROLL for (int i = 0; i < kLanes; ++i) {
        if (i < rows - r) Vector::store_first(to + (r + i) * stride + c, x[i], columns - c);
      }
    }
}

}  // namespace

}  // namespace qb
