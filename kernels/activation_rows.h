// Rows of float activations as a kernel wants to read them: part of every timed product.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "kernels/gemm_args.h"
#include "kernels/registry.h"

namespace qb {

/// How the rows of a become int8 codes q with real value scale * (q - zero). bits 2..8: q in
/// [-(2^(bits-1)-1), 2^(bits-1)-1] where symmetric (zero 0), else [-2^(bits-1), 2^(bits-1)-1].
struct RowScaling {
  enum class Kind : std::uint8_t {
    none,          ///< kernels whose activations are not int8
    dynamic_rows,  ///< each row, or group of it, by its own absolute maximum, symmetric: scale = absmax /
                   ///< (2^(bits-1)-1), 1 where all is zero
    fixed,         ///< scale and zero as given, for every row
  };
  Kind kind = Kind::none;
  int bits = 8;
  float scale = 1.0f;     ///< > 0, finite; Kind::fixed only
  std::int32_t zero = 0;  ///< Kind::fixed only
  /// Columns of a row that share a scale, one of kActivationGroups, Kind::dynamic_rows only; 0, or as many as the row
  /// has or more: the row has one scale.
  std::int64_t group = 0;
};

/// The largest is that of a super-block of GGUF.
inline constexpr std::array<std::int64_t, 4> kActivationGroups = {32, 64, 128, 256};

/// Whether products by `kernel` with weights of `format` take activations with a scale per `group` columns: those of
/// family gemm_s8_int where each group of weights lies within one of activations.
bool takes_activation_group(const KernelInfo& kernel, const QuantFormat& format, std::int64_t group);

/// The codes that a scaling with its zero can give.
struct CodeRange {
  std::int32_t low = 0, high = 0;
};
CodeRange code_range(const RowScaling& scaling);

void check_scaling(const RowScaling& scaling);  ///< QB_EXPECTS of every promise above; not for Kind::none

/// Reused between calls so that a timed call allocates nothing once warm.
struct GemmScratch {
  std::vector<std::int8_t> codes;
  std::vector<std::uint16_t> halves;  ///< bf16 rows
  std::vector<std::uint64_t> bits;    ///< sign rows
  std::vector<float> scale;
  std::vector<std::int32_t> zero, group_sum;
  std::int64_t bytes() const;
};

/// Float rows, and how they are to be read.
struct FloatRows {
  std::int64_t m = 0, k = 0;
  const float* a = nullptr;  ///< [m, k]
  std::int64_t stride = 0;
  const std::int8_t* codes = nullptr;  ///< in place of a: as GemmCall::codes
};

/// Fills the activation fields of `args` (a, a_stride, a_scale, a_scales, a_zero, a_group_sum) with what kernels of
/// `activations` read, made by instructions within `isa`; the scratch owns it until the next call. `group` weights
/// along k share a sum (k: one sum per row), and a copy of a scale where scaling.group asks for several per row: it is
/// then a multiple of `group`. float32 rows are passed through.
///
/// bf16     rounded to nearest even; rows zero-padded to a multiple of 64.
/// s8       by `scaling`; rows padded with the code of zero to a multiple of 64.
/// binary   signs in 64-bit words and their mean magnitude as a_scale: kernels/sign_rows/sign_rows.h.
/// Threads  up to `threads`, by rows; the same bits at every count.
void make_rows(Activations activations, const FloatRows& rows, const RowScaling& scaling, std::int64_t group, Isa isa,
               int threads, GemmScratch& scratch, GemmArgs& args);

}  // namespace qb
