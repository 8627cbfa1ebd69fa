#include <algorithm>

#include "kernels/base/small_floats.h"
#include "kernels/bf16_rows/bf16_rows.h"

namespace qb {

void bf16_row_ref(const Bf16RowArgs& args) {
  std::fill(std::transform(args.x, args.x + args.k, args.out, bf16_from_f32), args.out + args.padded, std::uint16_t(0));
}

}  // namespace qb
