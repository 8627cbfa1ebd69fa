// How the panels of gemm_s8_int store scales and offsets: as compactly as the format does, where that is exact.
#pragma once
#include "kernels/gemm_s8_int/gemm_s8_int.h"
#include "kernels/packed_matrix.h"

namespace qb {

/// The form for one matrix, and its writer. Values are the format's scales times `unit`, a power of two. The matrix
/// must outlive it.
class ScaleForm {
 public:
  ScaleForm(const PackedMatrix& matrix, float unit);

  /// Sets form, bytes, lowest steps, the range of powers and e4m3_unit.
  void describe(S8Int& at) const;

  /// Write the bytes of one row and group; supers are those of the span that holds the group.
  void store_scale(std::int64_t row, std::int64_t group, std::byte* out) const;
  void store_offset(std::int64_t row, std::int64_t group, std::byte* out) const;
  void store_super(std::int64_t row, std::int64_t group, std::byte* out) const;
  void store_offset_super(std::int64_t row, std::int64_t group, std::byte* out) const;

 private:
  float scale(std::int64_t row, std::int64_t group) const;  ///< with the unit
  float offset(std::int64_t row, std::int64_t group) const;
  float super(const std::vector<float>& supers, std::int64_t row, std::int64_t group) const;
  bool holds(S8IntScale form) const;  ///< every value of the matrix, exactly
  void store(float value, int step, std::byte* out) const;

  const PackedMatrix& matrix_;
  float unit_;
  S8IntScale form_ = S8IntScale::f32;
  int lowest_step_ = 0, lowest_offset_step_ = 0;
  int lowest_power_ = 0, highest_power_ = 0;
};

}  // namespace qb
