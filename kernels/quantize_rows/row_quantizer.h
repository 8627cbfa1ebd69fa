// How rows are quantized under a set of instructions.
#pragma once
#include "kernels/base/cpu.h"
#include "kernels/quantize_rows/quantize_rows.h"

namespace qb {

struct RowQuantizer {
  QuantizeRowFn quantize;
  AbsoluteMaximumFn absolute_maximum;
  SumGroupsFn sum_groups;
  QuantizeGroupsFn quantize_groups;
};

RowQuantizer row_quantizer(Isa isa);  ///< the best variants within `isa`

}  // namespace qb
