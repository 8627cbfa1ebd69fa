#include <immintrin.h>

#include "kernels/convolution/patch_rows.h"

namespace qb {

namespace {

__mmask64 bytes_below(std::int64_t count) {
  return count >= 64 ? ~__mmask64(0) : count <= 0 ? __mmask64(0) : (__mmask64(1) << count) - 1;
}

}  // namespace

void gather_runs_avx512(const GatherRunsArgs& args) {
  const std::int64_t k = args.runs * args.run_bytes, padded = (k + 63) / 64 * 64;
  const std::int64_t whole = args.run_bytes / 64 * 64;
  const __mmask64 last = bytes_below(args.run_bytes - whole), padding = bytes_below(padded - k);
  const __m512i zero = _mm512_set1_epi8(args.zero);
  for (std::int64_t i = 0; i < args.count; ++i) {
    const std::int8_t* window = args.from + i * args.from_step;
    std::int8_t* to = args.to + i * args.to_stride;
    for (std::int64_t r = 0; r < args.runs; ++r, to += args.run_bytes) {
      const std::int8_t* from = window + args.run_offset[r];
      for (std::int64_t t = 0; t < whole; t += 64) _mm512_storeu_si512(to + t, _mm512_loadu_si512(from + t));
      if (last) _mm512_mask_storeu_epi8(to + whole, last, _mm512_maskz_loadu_epi8(last, from + whole));
    }
    _mm512_mask_storeu_epi8(to, padding, zero);
  }
}

}  // namespace qb
