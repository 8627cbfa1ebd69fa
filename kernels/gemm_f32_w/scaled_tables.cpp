#include "kernels/gemm_f32_w/scaled_tables.h"

namespace qb {

bool has_scaled_tables(const QuantFormat& format) { return format.kind == CodeKind::table && format.offsets; }

PackedMatrix with_group_tables(const PackedMatrix& weights) {
  UnpackedMatrix tables;
  tables.format = weights.format;
  tables.format.offsets = false;
  tables.format.scale = ScaleType::f32;
  tables.n = weights.n;
  tables.k = weights.k;
  tables.codes = unpack_codes(weights);
  const std::size_t places = std::size_t(1) << weights.format.bits;
  const std::size_t groups = weights.scales.size() / std::size_t(weights.n);
  for (std::size_t parameter = 0; parameter < weights.scales.size(); ++parameter)
    for (std::size_t code = 0; code < places; ++code)
      tables.table.push_back(weights.table[parameter / groups * places + code] * weights.scales[parameter] +
                             weights.offsets[parameter]);
  return pack(tables);
}

}  // namespace qb
