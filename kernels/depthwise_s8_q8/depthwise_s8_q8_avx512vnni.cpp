// Sixteen neighbouring results at a time. Their windows overlap: one load of an input row and two permutations give
// every lane four taps of its window, which one vpdpbusd multiplies. Activations enter as code + 128.
#include <immintrin.h>

#include "kernels/depthwise_s8_q8/depthwise_s8_q8.h"

namespace qb {

namespace {

#define QB_INLINE __attribute__((always_inline)) inline

constexpr std::int64_t kLanes = 16;

/// sum += four products each of unsigned and signed bytes. Not the intrinsic: gcc 12 then keeps sums on the stack.
QB_INLINE void dot(__m512i& sum, __m512i unsigned_bytes, __m512i signed_bytes) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(unsigned_bytes), "v"(signed_bytes));
}

/// How four taps come to each lane: quarter g of the register gets the bytes from 4 * g * stride on, then lane i of the
/// quarter picks i * stride + tap * dilation.
struct Windows {
  __m512i words, bytes;
};

/// Whether quarters of 16 bytes hold the windows of four lanes each.
bool fits(std::int64_t stride, std::int64_t dilation) { return 3 * (stride + dilation) <= 15; }

Windows windows_of(std::int64_t stride, std::int64_t dilation) {
  alignas(64) std::int32_t words[16];
  alignas(64) std::int8_t bytes[64];
  for (int g = 0; g < 4; ++g) {
    for (int i = 0; i < 4; ++i) {
      words[4 * g + i] = std::int32_t(g * stride + i) & 15;
      for (int tap = 0; tap < 4; ++tap) bytes[16 * g + 4 * i + tap] = std::int8_t(i * stride + tap * dilation);
    }
  }
  return {_mm512_load_si512(words), _mm512_load_si512(bytes)};
}

/// One channel, and what its weights become.
struct Channel {
  const std::int8_t* x;
  float* y;
  float scale, bias;
  std::int32_t start;                  ///< takes back the 128 of the activations and their zero
  std::int32_t w[kDepthwiseArea];      ///< [kernel height][quads] four codes; taps behind the kernel are 0
  std::int32_t shift[kDepthwiseArea];  ///< the same with the shift in place of codes
};

/// Which bytes of an input row a vector of results reads, the same for all rows.
struct Reach {
  std::int64_t first;
  __mmask64 inside;
};

QB_INLINE __mmask64 bytes_below(std::int64_t count) {
  return count >= 64 ? ~__mmask64(0) : count <= 0 ? __mmask64(0) : (__mmask64(1) << count) - 1;
}

/// `needed` bytes from column `first` on.
QB_INLINE Reach reach_of(std::int64_t first, std::int64_t needed, std::int64_t width) {
  const std::int64_t high = width - first < needed ? width - first : needed;
  return {first, bytes_below(high) & ~bytes_below(-first)};
}

/// Four taps of the windows of 16 results; `outside` is the code of zero in every byte.
QB_INLINE __m512i load_windows(const std::int8_t* row, const Reach& reach, const Windows& windows, __m512i outside) {
  const __m512i codes = _mm512_mask_loadu_epi8(outside, reach.inside, row + reach.first);
  const __m512i quarters = _mm512_permutexvar_epi32(windows.words, codes);
  return _mm512_shuffle_epi8(_mm512_xor_si512(quarters, _mm512_set1_epi8(-128)), windows.bytes);
}

QB_INLINE void store_results(const Channel& channel, float* y, __mmask16 lanes, __m512i sum) {
  const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(channel.scale));
  _mm512_mask_storeu_ps(y, lanes, _mm512_add_ps(scaled, _mm512_set1_ps(channel.bias)));
}

QB_INLINE __mmask16 result_lanes(std::int64_t rest) {
  return rest >= kLanes ? __mmask16(0xffff) : __mmask16((1u << rest) - 1u);
}

/// Kernels of height 3 and width up to 4, no shift, rows not dilated: a row's windows serve all results that see it.
template <int kStride>
void fill_plane_3(const DepthwiseArgs& args, const Channel& channel, const Windows& windows) {
  const __m512i outside = _mm512_set1_epi8(char(args.x_zero)),
                padding = _mm512_xor_si512(outside, _mm512_set1_epi8(-128));
  const __m512i w0 = _mm512_set1_epi32(channel.w[0]), w1 = _mm512_set1_epi32(channel.w[1]),
                w2 = _mm512_set1_epi32(channel.w[2]), start = _mm512_set1_epi32(channel.start);
  const std::int64_t needed = 15 * args.stride[1] + (args.kernel[1] - 1) * args.dilation[1] + 1;
  for (std::int64_t ox = 0; ox < args.out[1]; ox += kLanes) {
    const Reach reach = reach_of(ox * args.stride[1] - args.pad[1], needed, args.in[1]);
    const __mmask16 lanes = result_lanes(args.out[1] - ox);
    const auto windows_at = [&](std::int64_t iy) {
      const bool inside = iy >= 0 && iy < args.in[0];
      return inside ? load_windows(channel.x + iy * args.in[1], reach, windows, outside) : padding;
    };
    __m512i above = windows_at(-args.pad[0]), middle = windows_at(1 - args.pad[0]);
    for (std::int64_t oy = 0; oy < args.out[0]; ++oy) {
      const std::int64_t top = oy * kStride - args.pad[0];
      const __m512i below = windows_at(top + 2);
      __m512i sum = start;
      dot(sum, above, w0);
      dot(sum, middle, w1);
      dot(sum, below, w2);
      store_results(channel, channel.y + oy * args.out[1] + ox, lanes, sum);
      above = kStride == 1 ? middle : below;
      middle = kStride == 1 ? below : windows_at(top + 3);
    }
  }
}

template <bool kShifted>
void fill_plane(const DepthwiseArgs& args, const Channel& channel, const Windows& windows) {
  const __m512i outside = _mm512_set1_epi8(char(args.x_zero)),
                padding = _mm512_xor_si512(outside, _mm512_set1_epi8(-128));
  const std::int64_t quads = (args.kernel[1] + 3) / 4;
  for (std::int64_t oy = 0; oy < args.out[0]; ++oy) {
    for (std::int64_t ox = 0; ox < args.out[1]; ox += kLanes) {
      __m512i sum = _mm512_set1_epi32(channel.start), shifted = _mm512_setzero_si512();
      for (std::int64_t q = 0; q < quads; ++q) {
        const std::int64_t taps = args.kernel[1] - 4 * q < 4 ? args.kernel[1] - 4 * q : 4;
        const Reach reach = reach_of(ox * args.stride[1] - args.pad[1] + 4 * q * args.dilation[1],
                                     15 * args.stride[1] + (taps - 1) * args.dilation[1] + 1, args.in[1]);
        for (std::int64_t ky = 0; ky < args.kernel[0]; ++ky) {
          const std::int64_t iy = oy * args.stride[0] - args.pad[0] + ky * args.dilation[0];
          const bool inside = iy >= 0 && iy < args.in[0];
          const __m512i taps_of_row =
              inside ? load_windows(channel.x + iy * args.in[1], reach, windows, outside) : padding;
          dot(sum, taps_of_row, _mm512_set1_epi32(channel.w[ky * quads + q]));
          if constexpr (kShifted) dot(shifted, taps_of_row, _mm512_set1_epi32(channel.shift[ky * quads + q]));
        }
      }
      if constexpr (kShifted) sum = _mm512_sub_epi32(sum, shifted);
      store_results(channel, channel.y + oy * args.out[1] + ox, result_lanes(args.out[1] - ox), sum);
    }
  }
}

/// Four taps of a row from tap 4 * q on, 0 behind the last.
std::int32_t four_taps(const std::int8_t* taps, std::int64_t rest) {
  std::int32_t four = 0;
  __builtin_memcpy(&four, taps, std::size_t(rest < 4 ? rest : 4));
  return four;
}

}  // namespace

void depthwise_s8_q8_avx512vnni(const DepthwiseArgs& args) {
  if (!fits(args.stride[1], args.dilation[1])) return depthwise_s8_q8_ref(args);
  const auto* base = static_cast<const unsigned char*>(args.w);
  const auto* at = static_cast<const DepthwiseS8Q8*>(args.w);
  const Windows windows = windows_of(args.stride[1], args.dilation[1]);
  const std::int64_t first_plane = args.channel_begin / args.multiplier, area = args.kernel[0] * args.kernel[1],
                     quads = (args.kernel[1] + 3) / 4;
  for (std::int64_t c = args.channel_begin; c < args.channel_end; ++c) {
    Channel channel;
    channel.x = static_cast<const std::int8_t*>(args.x) + (c / args.multiplier - first_plane) * args.x_stride;
    channel.y = args.y + c * args.out[0] * args.out[1];
    channel.scale = args.x_scale * reinterpret_cast<const float*>(base + at->scale)[c];
    channel.bias = args.bias ? args.bias[c] : 0.0f;
    channel.start = -(args.x_zero + 128) * reinterpret_cast<const std::int32_t*>(base + at->weight_sum)[c];
    const std::int32_t shift = reinterpret_cast<const std::int32_t*>(base + at->shift)[c];
    const auto* codes = reinterpret_cast<const std::int8_t*>(base + at->codes) + c * area;
    const std::int8_t shifts[4] = {std::int8_t(shift), std::int8_t(shift), std::int8_t(shift), std::int8_t(shift)};
    for (std::int64_t ky = 0; ky < args.kernel[0]; ++ky)
      for (std::int64_t q = 0; q < quads; ++q) {
        const std::int64_t rest = args.kernel[1] - 4 * q;
        channel.w[ky * quads + q] = four_taps(codes + ky * args.kernel[1] + 4 * q, rest);
        channel.shift[ky * quads + q] = four_taps(shifts, rest);
      }
    if (shift != 0)
      fill_plane<true>(args, channel, windows);
    else if (args.kernel[0] == 3 && quads == 1 && args.stride[0] == 1 && args.dilation[0] == 1)
      fill_plane_3<1>(args, channel, windows);
    else if (args.kernel[0] == 3 && quads == 1 && args.stride[0] == 2 && args.dilation[0] == 1)
      fill_plane_3<2>(args, channel, windows);
    else
      fill_plane<false>(args, channel, windows);
  }
}

}  // namespace qb
