// The loops of products that read windows in place (float_windows.h, window_products.h), written once for all
// instruction sets and families.
//
// A `Step` is a struct of a few lines (float_window_steps.h, code_window_steps_avx2.h): how one line of weights, some
// bytes for each column, meets the channels that it stands for. It has
// - Args: what the function is given; Pixel: an element of the image; Sums, Weights: registers of kLanes columns;
// - kRegisters: vector registers that sums, weights and an operand may fill;
// - kColumnBytes: of a line, per column;
// - kParts: products that a line makes, one after another, each of kChannels channels;
// - weights<kPart>(line), operand(pixel), add(sum, operand, weights);
// - begin<kVectors>(args, panel, first, at, sum) and finish<kVectors>(args, panel, at, sum): the sums of result `at`,
//   which begin anew or (where not `first`) go on from y, and what becomes of them;
// - kExact: sums are whole numbers, which y cannot hold: a window is summed at once, and all of its padding.
// Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include <cstdint>

#include "kernels/gemm_f32_f32/inlining.h"

namespace qb {

namespace {

constexpr std::int64_t kBlockBytes = std::int64_t(256) << 10;  ///< of a panel that stays in the second-level cache

/// Columns of one panel, as many as a tile has.
struct WindowPanel {
  const unsigned char* w;        ///< the first line of the weights of the first kernel position
  std::int64_t line_stride;      ///< bytes
  std::int64_t column, columns;  ///< that exist; fewer than the tile's only in the last vector
};

/// Rows [begin, end) of the kernel, which a result's row meets at once.
struct KernelRows {
  std::int64_t row;  ///< of the result
  std::int64_t begin, end;
  bool first;  ///< y is overwritten, else continued
};

/// The products of one line of weights for results [kFirst, kEnd) of kRows. Where registers are short the last vector
/// of weights is multiplied before the others, by operands that are read twice.
template <class Step, int kPart, int kRows, int kVectors, int kFirst, int kEnd>
QB_INLINE void multiply_part(typename Step::Sums (&sum)[kRows][kVectors], const typename Step::Pixel* pixel,
                             std::int64_t step, const unsigned char* line) {
  constexpr int kBytes = Step::kColumnBytes * Step::kLanes;
  constexpr bool kShort = kRows * kVectors + kVectors + 1 > Step::kRegisters;
  constexpr int kTogether = kShort ? kVectors - 1 : kVectors;
  if constexpr (kShort) {
    const auto last = Step::template weights<kPart>(line + kTogether * kBytes);
    QB_UNROLL for (int r = kFirst; r < kEnd; ++r) Step::add(sum[r][kTogether], Step::operand(pixel + r * step), last);
    __asm__ volatile("" ::: "memory");  // operands are read again, not kept
  }
  typename Step::Weights column[kTogether];
  QB_UNROLL for (int v = 0; v < kTogether; ++v) column[v] = Step::template weights<kPart>(line + v * kBytes);
  QB_UNROLL for (int r = kFirst; r < kEnd; ++r) {
    const auto operand = Step::operand(pixel + r * step);
    QB_UNROLL for (int v = 0; v < kTogether; ++v) Step::add(sum[r][v], operand, column[v]);
  }
}

template <class Step, int kRows, int kVectors, int kFirst, int kEnd>
QB_INLINE void multiply_channels(typename Step::Sums (&sum)[kRows][kVectors], const typename Step::Pixel* pixel,
                                 std::int64_t step, std::int64_t channels, const unsigned char* line,
                                 std::int64_t line_stride) {
  for (std::int64_t t = 0; t < channels; t += Step::kParts * Step::kChannels, line += line_stride) {
    multiply_part<Step, 0, kRows, kVectors, kFirst, kEnd>(sum, pixel + t, step, line);
    if constexpr (Step::kParts == 2) {
      __asm__ volatile("" ::: "memory");  // the line is read again, not kept
      multiply_part<Step, 1, kRows, kVectors, kFirst, kEnd>(sum, pixel + t + Step::kChannels, step, line);
    }
  }
}

/// A function of its own: beside the loops around it gcc 12 would keep sums on the stack.
template <class Step, int kRows, int kVectors>
__attribute__((noinline)) void fill_window_tile(const typename Step::Args& args, const WindowPanel& panel,
                                                const KernelRows& rows, std::int64_t begin) {
  using Pixel = typename Step::Pixel;
  const std::int64_t at = (rows.row - args.row_begin) * args.row_length + begin;
  typename Step::Sums sum[kRows][kVectors];
  QB_UNROLL for (int r = 0; r < kRows; ++r) Step::template begin<kVectors>(args, panel, rows.first, at + r, sum[r]);
  const std::int64_t channels = args.channels, step = args.stride[1] * channels,
                     lines = channels / (Step::kParts * Step::kChannels), reach = args.kernel[1] - 1;
  const std::int64_t left = begin * args.stride[1],
                     right = left + (kRows - 1) * args.stride[1] + reach * args.dilation[1];
  // Neighbouring pixels of a window are one run where none of them is left out.
  const bool leaves_out = !Step::kExact && kRows > 1;
  const bool run =
      args.dilation[1] == 1 && (Step::kExact || (left >= args.inside_begin[1] && right < args.inside_end[1]));
  const std::int64_t together = run ? args.kernel[1] : 1;
  const unsigned char* w = panel.w + rows.begin * args.kernel[1] * lines * panel.line_stride;
  for (std::int64_t ky = rows.begin; ky < rows.end; ++ky) {
    const std::int64_t top = rows.row * args.stride[0] + ky * args.dilation[0];
    for (std::int64_t kx = 0; kx < args.kernel[1]; kx += together, w += together * lines * panel.line_stride) {
      const std::int64_t first = left + kx * args.dilation[1], last = first + (kRows - 1) * args.stride[1];
      const Pixel* pixel =
          static_cast<const Pixel*>(static_cast<const void*>(args.image)) + (top * args.columns + first) * channels;
      const std::int64_t depth = together * channels;
      if (leaves_out && first < args.inside_begin[1])
        multiply_channels<Step, kRows, kVectors, kRows == 1 ? 0 : 1, kRows>(sum, pixel, step, depth, w,
                                                                            panel.line_stride);
      else if (leaves_out && last >= args.inside_end[1])
        multiply_channels<Step, kRows, kVectors, 0, kRows == 1 ? 1 : kRows - 1>(sum, pixel, step, depth, w,
                                                                                panel.line_stride);
      else
        multiply_channels<Step, kRows, kVectors, 0, kRows>(sum, pixel, step, depth, w, panel.line_stride);
    }
  }
  QB_UNROLL for (int r = 0; r < kRows; ++r) Step::template finish<kVectors>(args, panel, at + r, sum[r]);
}

/// The tile with `results`, at most kRows.
template <class Step, int kRows, int kVectors>
void fill_some_windows(const typename Step::Args& args, const WindowPanel& panel, const KernelRows& rows,
                       std::int64_t column, std::int64_t results) {
  if (results == kRows) return fill_window_tile<Step, kRows, kVectors>(args, panel, rows, column);
  if constexpr (kRows > 1) fill_some_windows<Step, kRows - 1, kVectors>(args, panel, rows, column, results);
}

/// Rows of the kernel whose pixels are not all left out, for one row of the result.
template <class Step>
QB_INLINE void find_inside(const typename Step::Args& args, KernelRows& rows) {
  const std::int64_t first = rows.row * args.stride[0];
  rows.begin = 0;
  rows.end = args.kernel[0];
  if constexpr (Step::kExact) return;
  while (rows.begin < rows.end && first + rows.begin * args.dilation[0] < args.inside_begin[0]) ++rows.begin;
  while (rows.begin < rows.end && first + (rows.end - 1) * args.dilation[0] >= args.inside_end[0]) --rows.end;
}

/// All rows of the result in tiles of nearly equal length, against one part of the weights after another.
template <class Step, int kRows, int kVectors>
void fill_window_panel(const typename Step::Args& args, const WindowPanel& panel) {
  const std::int64_t tiles = (args.row_length + kRows - 1) / kRows;
  const std::int64_t lines = args.kernel[1] * args.channels / (Step::kParts * Step::kChannels),
                     row_bytes = lines * Step::kColumnBytes * Step::kLanes * kVectors;
  const std::int64_t rows_together = row_bytes < kBlockBytes ? kBlockBytes / row_bytes : 1;
  const std::int64_t block = Step::kExact ? args.kernel[0] : rows_together;
  for (std::int64_t begin = 0; begin < args.kernel[0]; begin += block) {
    for (std::int64_t row = args.row_begin; row < args.row_end; ++row) {
      KernelRows rows{.row = row, .begin = 0, .end = 0, .first = begin == 0};
      find_inside<Step>(args, rows);
      if (rows.begin < begin) rows.begin = begin;
      if (rows.end > begin + block) rows.end = begin + block;
      if (rows.begin >= rows.end && !rows.first) continue;
      for (std::int64_t t = 0; t < tiles; ++t) {
        const std::int64_t column = args.row_length * t / tiles;
        fill_some_windows<Step, kRows, kVectors>(args, panel, rows, column, args.row_length * (t + 1) / tiles - column);
      }
    }
  }
}

}  // namespace

}  // namespace qb
