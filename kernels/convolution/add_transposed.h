// Results of products, row after row, become planes.
#pragma once
#include <cstdint>

namespace qb {

/// to[j * to_stride + i] = from[i * from_stride + j] + (bias ? bias[j] : 0) for i < rows, j < columns; nothing else is
/// read or written. Variants agree bit for bit.
struct AddTransposedArgs {
  const float* from;
  std::int64_t from_stride, rows, columns;
  const float* bias;  ///< [columns], or null
  float* to;
  std::int64_t to_stride;
};
using AddTransposedFn = void (*)(const AddTransposedArgs&);
void add_transposed_portable(const AddTransposedArgs& args);
void add_transposed_avx512(const AddTransposedArgs& args);

}  // namespace qb
