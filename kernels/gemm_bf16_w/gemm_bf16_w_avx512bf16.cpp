#include "kernels/gemm_bf16_w/gemm_bf16_w.h"
#include "kernels/gemm_bf16_w/multiply_pairs.h"
#include "kernels/gemm_bf16_w/pair_steps.h"

namespace qb {

void gemm_bf16_w_avx512bf16(const GemmArgs& args) {
  const auto& w = *static_cast<const WeightPanels*>(args.w);
  if (w.decoding == Decoding::channel_levels) return multiply_channel_tables<Avx512, PairSteps>(args, w.bits);
  // Tables of each group are gathered and offsets are rounded one by one: by way of float32.
  if (w.decoding == Decoding::column_levels || w.offsets) return gemm_bf16_w_avx512(args);
  if (w.zeros && w.bits <= 5) return multiply_by_bits<PairDifferences, 1, 5>(args, w.bits);
  if (w.zeros) return multiply_by_bits<PairIntegers, 6, 8>(args, w.bits);
  if (w.decoding == Decoding::small_floats && w.bits == 8) return multiply_all_panels<PairMagnitudes, 8>(args);
  multiply_by_bits<PairLevels, 1, 8>(args, w.bits);
}

}  // namespace qb
