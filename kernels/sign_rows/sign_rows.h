// Rows of float32 activations become sign bits and one magnitude: part of every timed product with binary activations.
//
// Source: Rastegari et al., XNOR-Net (arXiv:1603.05279), section 3.2.
#pragma once
#include <cstdint>

namespace qb {

/// Bit t of `bits` [ceil(k / 64)] is 1 where x[t] >= 0, so for -0 and not for NaN, low bit first; bits from k on are 0.
/// Returns the mean of |x[t]|.
///
/// Numbers    16 sums in double over t mod 16, added in rising order to 0, divided by k, rounded to float32. All
///            variants agree bit for bit where every x is finite.
/// Threads    reentrant.
float sign_row_ref(const float* x, std::int64_t k, std::uint64_t* bits);
float sign_row_avx2(const float* x, std::int64_t k, std::uint64_t* bits);
float sign_row_avx512(const float* x, std::int64_t k, std::uint64_t* bits);
float sign_row_neon(const float* x, std::int64_t k, std::uint64_t* bits);
using SignRowFn = float (*)(const float* x, std::int64_t k, std::uint64_t* bits);

}  // namespace qb
