// One weight of the reference's layout. For portable code only.
#pragma once
#include <bit>

#include "kernels/gemm_f32_w/gemm_f32_w.h"

namespace qb {

/// Parameters are indexed [row, group].
inline std::int64_t parameter_of(const WeightCodes& w, std::int64_t row, std::int64_t t) {
  return row * w.groups + t / w.group;
}

template <class T>
const T* array_at(const WeightCodes& w, std::int64_t offset) {
  return reinterpret_cast<const T*>(reinterpret_cast<const unsigned char*>(&w) + offset);
}

/// The level of weight (row, t) of k, whose parameters have this index: what the scale is multiplied with.
inline float level_of(const WeightCodes& w, std::int64_t k, std::int64_t row, std::int64_t t, std::int64_t parameter) {
  if (w.values) return std::bit_cast<float>(std::uint32_t(array_at<std::uint16_t>(w, w.values)[row * k + t]) << 16);
  const float* table = array_at<float>(w, w.table) + (w.own_tables ? parameter * w.table_size : 0);
  const float level = table[array_at<unsigned char>(w, w.codes)[row * k + t]];
  return w.zero ? level - array_at<float>(w, w.zero)[parameter] : level;
}

}  // namespace qb
