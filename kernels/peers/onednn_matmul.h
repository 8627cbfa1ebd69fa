// oneDNN's matmul on dense operands. Written for the C interface of oneDNN 2 (Debian 12 has 2.6.3).
#pragma once
#include <cstdint>

#include "kernels/base/buffer.h"

namespace qb {

/// What is multiplied: activations a [m, k], weights w [n, k], results y [m, n].
enum class OnednnTypes : std::uint8_t {
  f32,        ///< all float32
  bf16,       ///< bf16 * bf16 into float32
  u8_s8_s32,  ///< u8 * s8 into int32, exact modulo 2^32
  s8_s8_s32,  ///< s8 * s8 into int32 by way of float32; its weights are good for u8_s8_s32 too
};

/// The weights in the layout that oneDNN asks for, after `front` bytes (a multiple of 64) left to the caller. `w` is
/// [n, k] in rows of k elements. Throws Unsupported when the library cannot be loaded or cannot do this.
Buffer onednn_weights(OnednnTypes types, std::int64_t n, std::int64_t k, const void* w, std::int64_t front);

/// One product; `w` is what stands behind the caller's front. The primitive for this thread, shape and thread count is
/// made by the first call and kept. Threads as asked, inside of oneDNN.
struct OnednnCall {
  OnednnTypes types;
  std::int64_t m, n, k;
  const void* a;  ///< dense rows
  const void* w;
  void* y;  ///< dense rows
  int threads;
};
void onednn_multiply(const OnednnCall& call);

}  // namespace qb
