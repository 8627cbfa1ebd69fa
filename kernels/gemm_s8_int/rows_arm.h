// Rows inside: the codes of a chunk are unpacked into registers once and meet every row of a block, whose sums wait in
// the first-level cache. What multiplies is a struct Unit of the file that includes this:
//
// - kRows: rows that it multiplies at once.
// - arrange(chunk): puts the bytes of a chunk in the order in which it wants them.
// - dot<kLargest, kBegin, kEnd>(chunk, a, dots): dots[row][v] becomes the exact sums over quads [kBegin, kEnd) of the
//   four columns of each vector; a[row] is the row's first code in the chunk, and no byte of the chunk is larger than
//   kLargest in magnitude.
//
// Compiled under several instruction-set flags: everything is anonymous.
#pragma once
#include "kernels/columns_neon.h"
#include "kernels/gemm_s8_int/decoders_arm.h"
#include "kernels/gemm_s8_int/parameters_arm.h"

namespace qb {

namespace {

constexpr std::int64_t kPanel = 8;
constexpr std::int64_t kChunk = 4 * kQuads;
constexpr int kBlock = 64;  // rows whose sums wait together: 4 KiB

/// A block of rows against one panel.
template <int kVectors>
struct RowBlock {
  const GemmArgs* args;
  const S8Int* at;
  const std::int8_t* a;  ///< the block's first row
  std::int64_t first_row, rows;
  const std::uint8_t* panel;
  bool plain;                               ///< every activation's zero is 0
  float sum[kBlock][4 * kVectors];          ///< of the groups that are done
  std::int32_t part[kBlock][4 * kVectors];  ///< of the chunks of the group at hand
};

/// The part of a group that lies within one chunk, or half of one.
template <int kVectors>
struct GroupStep {
  std::int64_t t, g;               ///< where the chunk begins along k, and the group
  bool first, last;                ///< of the group
  GroupParameters<kVectors> with;  ///< where last
  int32x4_t byte_sum[kVectors];    ///< of each column over the group so far; where not plain
};

/// Exact sums of row r over the group become float32 and join the sums of the groups before.
template <int kVectors>
QB_INLINE void finish_group(RowBlock<kVectors>& block, const GroupStep<kVectors>& step, std::int64_t r,
                            const int32x4_t* dots) {
  const std::int64_t i = block.first_row + r;
  const std::int64_t at = i * block.at->groups + step.g;
  const std::int32_t a_sum = block.args->a_group_sum[at];
  const float a_scale = block.args->a_scales > 1 ? block.args->a_scale[at] : 1.0f;
  QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    int32x4_t exact = vmlsq_n_s32(dots[v], step.with.zero[v], a_sum);
    if (!block.plain) exact = vmlsq_n_s32(exact, step.byte_sum[v], block.args->a_zero[i]);
    float* sum = block.sum[r] + 4 * v;
    // A factor of 1 is exact.
    float32x4_t total = vfmaq_f32(vld1q_f32(sum), vcvtq_f32_s32(exact), vmulq_n_f32(step.with.scale[v], a_scale));
    if (block.at->offset_bytes) total = vfmaq_n_f32(total, vmulq_n_f32(step.with.offset[v], a_scale), float(a_sum));
    vst1q_f32(sum, total);
  }
}

/// Quads [kBegin, kEnd) of one chunk against every row of the block.
template <class Unit, int kLargest, int kBegin, int kEnd, int kVectors>
QB_INLINE void multiply_rows(RowBlock<kVectors>& block, const GroupStep<kVectors>& step,
                             const ByteChunk<kVectors>& chunk) {
  for (std::int64_t r = 0; r < block.rows; r += Unit::kRows) {
    const std::int8_t* a[Unit::kRows];
    QB_UNROLL for (int more = 0; more < Unit::kRows; ++more) {
      const std::int64_t row = r + more < block.rows ? r + more : r;
      a[more] = block.a + row * block.args->a_stride + step.t;
    }
    int32x4_t dots[Unit::kRows][kVectors];
    Unit::template dot<kLargest, kBegin, kEnd>(chunk, a, dots);
    // GroupParameters wait in the cache: the registers are for the codes.
    __asm__ volatile("" : : "r"(&step) : "memory");
    QB_UNROLL for (int more = 0; more < Unit::kRows; ++more) {
      if (r + more >= block.rows) break;
      std::int32_t* part = block.part[r + more];
      if (!step.first)
        QB_UNROLL for (int v = 0; v < kVectors; ++v) dots[more][v] = vaddq_s32(dots[more][v], vld1q_s32(part + 4 * v));
      if (step.last)
        finish_group(block, step, r + more, dots[more]);
      else
        QB_UNROLL for (int v = 0; v < kVectors; ++v) vst1q_s32(part + 4 * v, dots[more][v]);
    }
  }
}

/// byte_sum += the chunk's bytes in quads [kBegin, kEnd).
template <class Unit, int kLargest, int kBegin, int kEnd, int kVectors>
QB_INLINE void add_bytes(const ByteChunk<kVectors>& chunk, int32x4_t (&byte_sum)[kVectors]) {
  std::int8_t ones[kChunk];
  __builtin_memset(ones, 1, sizeof ones);
  const std::int8_t* rows[Unit::kRows];
  for (const std::int8_t*& row : rows) row = ones;
  int32x4_t dots[Unit::kRows][kVectors];
  Unit::template dot<kLargest, kBegin, kEnd>(chunk, rows, dots);
  QB_UNROLL for (int v = 0; v < kVectors; ++v) byte_sum[v] = vaddq_s32(byte_sum[v], dots[0][v]);
}

/// The part of group step.g that lies in quads [kBegin, kEnd) of the chunk at step.t.
template <class Unit, int kLargest, int kBegin, int kEnd, int kVectors>
QB_INLINE void multiply_step(RowBlock<kVectors>& block, GroupStep<kVectors>& step, const ByteChunk<kVectors>& chunk,
                             const std::uint8_t* section, std::int32_t bias) {
  const S8Int& at = *block.at;
  const std::int64_t group_begin = step.g * at.group, k = block.args->k;
  const std::int64_t group_end = group_begin + at.group < k ? group_begin + at.group : k;
  step.first = step.t + 4 * kBegin == group_begin;
  step.last = step.t + 4 * kEnd >= group_end;
  if (!block.plain) add_bytes<Unit, kLargest, kBegin, kEnd>(chunk, step.byte_sum);
  if (step.last) step.with = read_parameters<kVectors>(at, section, step.g % at.groups_per_span, bias);
  multiply_rows<Unit, kLargest, kBegin, kEnd>(block, step, chunk);
  if (step.last) {
    ++step.g;
    for (int32x4_t& sum : step.byte_sum) sum = vdupq_n_s32(0);
  }
}

/// kHalves: groups may end in the middle of a chunk.
template <class Unit, class Decoder, bool kHalves, int kVectors>
[[gnu::noinline]] void multiply_block(RowBlock<kVectors>& block) {
  const S8Int& at = *block.at;
  const Decoder decoder(at);
  const std::int64_t k = block.args->k;
  constexpr std::int64_t kWidth = 4 * kVectors;
  const std::int64_t records = at.groups_per_span * (at.scale_bytes + at.offset_bytes + at.zero_bytes);
  const std::int64_t section_bytes = (kWidth * (at.super_bytes + records) + 15) / 16 * 16;
  const std::uint8_t* stream = block.panel;
  GroupStep<kVectors> step{};
  for (std::int64_t begin = 0; begin < k; begin += at.span) {
    const std::uint8_t* section = stream;
    stream += section_bytes;
    const std::int64_t end = begin + at.span < k ? begin + at.span : k;
    for (step.t = begin; step.t < end; step.t += kChunk, stream += kWidth * kChunk / 8 * Decoder::kCodeBits) {
      ByteChunk<kVectors> chunk;
      unpack(decoder, stream, chunk);
      Unit::arrange(chunk);
      constexpr int kMiddle = kHalves ? kQuads / 2 : kQuads;
      multiply_step<Unit, Decoder::kLargest, 0, kMiddle>(block, step, chunk, section, decoder.bias);
      if constexpr (kHalves)
        if (step.t + 4 * kMiddle < end)
          multiply_step<Unit, Decoder::kLargest, kMiddle, kQuads>(block, step, chunk, section, decoder.bias);
    }
  }
}

template <class Unit, class Decoder, int kVectors>
QB_INLINE void fill_panel(const GemmArgs& args, std::int64_t column) {
  const auto* base = static_cast<const std::uint8_t*>(args.w);
  RowBlock<kVectors> block;
  block.args = &args;
  block.at = static_cast<const S8Int*>(args.w);
  block.panel = base + block.at->codes + column / kPanel * block.at->panel_bytes;
  for (block.first_row = 0; block.first_row < args.m; block.first_row += kBlock) {
    block.rows = args.m - block.first_row < kBlock ? args.m - block.first_row : kBlock;
    block.a = static_cast<const std::int8_t*>(args.a) + block.first_row * args.a_stride;
    block.plain = true;
    for (std::int64_t r = 0; r < block.rows; ++r) block.plain = block.plain && args.a_zero[block.first_row + r] == 0;
    __builtin_memset(block.sum, 0, sizeof block.sum);
    if (block.at->groups > 1 && block.at->group % kChunk)
      multiply_block<Unit, Decoder, true>(block);
    else
      multiply_block<Unit, Decoder, false>(block);
    for (std::int64_t r = 0; r < block.rows; ++r) {
      const std::int64_t i = block.first_row + r;
      float* y = args.y + i * args.y_stride + column;
      const float scale = args.a_scales > 1 ? 1.0f : args.a_scale[i];
      for (int v = 0; v < kVectors; ++v)
        if (args.n_end - column > 4 * v)
          store_columns(y + 4 * v, vmulq_n_f32(vld1q_f32(block.sum[r] + 4 * v), scale), args.n_end - column - 4 * v);
    }
  }
}

template <class Unit, class Decoder>
void fill_panels(const GemmArgs& args) {
  for (std::int64_t column = args.n_begin; column < args.n_end; column += kPanel)
    if (args.n_end - column > 4)
      fill_panel<Unit, Decoder, 2>(args, column);
    else
      fill_panel<Unit, Decoder, 1>(args, column);
}

/// All columns that args asks for, whatever the width of the codes.
template <class Unit>
QB_INLINE void multiply(const GemmArgs& args) {
  const auto& at = *static_cast<const S8Int*>(args.w);
  const bool integers = at.level[1] == 1;  // and ternary, whose codes are integers too
  switch (at.bits) {
    case 1: return integers ? fill_panels<Unit, IntegerBytes<1>>(args) : fill_panels<Unit, LevelBytes<1>>(args);
    case 2: return fill_panels<Unit, IntegerBytes<2>>(args);
    case 3: return fill_panels<Unit, IntegerBytes<3>>(args);
    case 4: return integers ? fill_panels<Unit, IntegerBytes<4>>(args) : fill_panels<Unit, LevelBytes<4>>(args);
    case 5: return fill_panels<Unit, IntegerBytes<5>>(args);
    case 6: return integers ? fill_panels<Unit, IntegerBytes<6>>(args) : fill_panels<Unit, LevelBytes<6>>(args);
    case 7: return fill_panels<Unit, IntegerBytes<7>>(args);
    default: return fill_panels<Unit, IntegerBytes<8>>(args);
  }
}

}  // namespace

}  // namespace qb
