#include <bit>
#include <cmath>

#include "kernels/gemm_binary_binary/gemm_binary_binary.h"

namespace qb {

/// The definition. Written to be read beside the formula in the header, not to be fast.
void gemm_binary_binary_ref(const GemmArgs& args) {
  const auto* base = static_cast<const unsigned char*>(args.w);
  const auto* at = static_cast<const BinaryBinary*>(args.w);
  const auto* scale = reinterpret_cast<const float*>(base + at->scale);
  const std::int64_t words = (args.k + 63) / 64;
  for (std::int64_t i = 0; i < args.m; ++i) {
    const auto* a = static_cast<const std::uint64_t*>(args.a) + i * args.a_stride;
    for (std::int64_t j = args.n_begin; j < args.n_end; ++j) {
      const auto* code = reinterpret_cast<const std::uint64_t*>(base + at->codes) + j * words;
      float sum = 0.0f;
      for (std::int64_t g = 0; g < at->groups; ++g) {
        const std::int64_t begin = g * at->group, end = begin + at->group < args.k ? begin + at->group : args.k;
        std::int64_t dot = end - begin;
        for (std::int64_t word = begin / 64; word < (end + 63) / 64; ++word)
          dot -= 2 * std::popcount(a[word] ^ code[word]);
        sum = std::fma(float(dot), scale[j * at->groups + g], sum);
      }
      args.y[i * args.y_stride + j] = args.a_scale[i] * sum;
    }
  }
}

}  // namespace qb
