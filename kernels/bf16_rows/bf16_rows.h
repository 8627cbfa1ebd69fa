// Rows of float32 activations become bf16: part of every timed product with bf16 activations.
//
// Source: IEEE 754 rounding to nearest, ties to even, on the upper half of binary32.
#pragma once
#include <cstdint>

namespace qb {

/// One row to convert.
struct Bf16RowArgs {
  const float* x;      ///< [k]
  std::uint16_t* out;  ///< [padded]; [k, padded) are filled with 0
  std::int64_t k, padded;
};
using Bf16RowFn = void (*)(const Bf16RowArgs&);

/// out[t] = bf16_from_f32(x[t]): subnormals are kept, what overflows becomes infinity, a NaN the quiet NaN of its sign.
///
/// Numbers    all variants agree bit for bit.
/// Threads    reentrant.
void bf16_row_ref(const Bf16RowArgs& args);
void bf16_row_avx2(const Bf16RowArgs& args);
void bf16_row_avx512(const Bf16RowArgs& args);
void bf16_row_neon(const Bf16RowArgs& args);

}  // namespace qb
