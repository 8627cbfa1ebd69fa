// Codes of weight_panels.h become levels in registers. Written once for all instruction sets: `Vector` is the struct of
// vector_avx512.h or vector_avx2.h. Included under several instruction-set flags: everything is anonymous and inlined.
//
// A decoder is a struct with
// - kBits of a code; 0: as WeightPanels says, for decoders that gather, beside which the time of shifting is small;
// - begin_group(parameters): reads what columns have of their own, for the panel's vectors;
// - low(word, v, shift), high(word, v, shift): the levels of vector v whose codes stand at bit `shift`, or 16 above
//   it, in each 32 bits of `word`. What stands above the code is anything. Loops over `shift` are unrolled.
#pragma once
#include "kernels/gemm_f32_f32/inlining.h"
#include "kernels/gemm_f32_w/weight_panels.h"

namespace qb {

namespace {

/// The scales (or offsets) of one vector of columns.
template <class Vector>
QB_INLINE typename Vector::Floats load_scales(PanelScales form, const unsigned char* parameters, int v) {
  switch (form) {
    case PanelScales::f32: return Vector::load(reinterpret_cast<const float*>(parameters) + v * Vector::kLanes);
    case PanelScales::f16: return Vector::from_f16(parameters + 2 * v * Vector::kLanes);
    case PanelScales::power: return Vector::power(Vector::from_bytes(parameters + v * Vector::kLanes));
    case PanelScales::none: break;
  }
  return Vector::all(1.0f);
}

QB_INLINE std::int64_t bytes_of_scale(PanelScales form) {
  return form == PanelScales::f32 ? 4 : form == PanelScales::f16 ? 2 : form == PanelScales::power ? 1 : 0;
}

/// Levels of up to 4 bits by a table in registers.
template <class Vector, int kCodeBits, int kVectors>
struct FewLevels {
  static constexpr int kBits = kCodeBits;
  typename Vector::Table16 table;
  using Words = typename Vector::Words;
  using Floats = typename Vector::Floats;

  QB_INLINE explicit FewLevels(const WeightPanels& w) : table(Vector::load_table(w.table)) {}
  QB_INLINE void begin_group(const unsigned char*) {}
  QB_INLINE Floats low(Words word, int, int shift) const { return Vector::look_up(table, Vector::right(word, shift)); }
  QB_INLINE Floats high(Words word, int, int shift) const {
    return Vector::look_up(table, Vector::right(word, shift + 16));
  }
};

/// Levels of any bits by a table in memory.
template <class Vector, int kCodeBits, int kVectors>
struct ManyLevels {
  static constexpr int kBits = 0;
  using Words = typename Vector::Words;
  using Floats = typename Vector::Floats;
  const float* table;
  Words mask;

  QB_INLINE explicit ManyLevels(const WeightPanels& w) : table(w.table), mask(Vector::all_words((1u << w.bits) - 1u)) {}
  QB_INLINE void begin_group(const unsigned char*) {}
  QB_INLINE Floats low(Words word, int, int shift) const {
    return Vector::gather(table, Vector::both(Vector::right(word, shift), mask));
  }
  QB_INLINE Floats high(Words word, int v, int shift) const { return low(word, v, shift + 16); }
};

/// Levels by a table of each column, [level][width].
template <class Vector, int kCodeBits, int kVectors>
struct ColumnLevels {
  static constexpr int kBits = 0;
  static constexpr int kLogWidth = (kVectors == 4 ? 2 : 0) + (Vector::kLanes == 16 ? 4 : 3);
  static_assert(1 << kLogWidth == kVectors * Vector::kLanes);
  using Words = typename Vector::Words;
  using Floats = typename Vector::Floats;
  const float* table = nullptr;
  Words mask;  ///< of a code times the width

  QB_INLINE explicit ColumnLevels(const WeightPanels& w)
      : mask(Vector::all_words(((1u << w.bits) - 1u) << kLogWidth)) {}
  QB_INLINE void begin_group(const unsigned char* parameters) { table = reinterpret_cast<const float*>(parameters); }
  QB_INLINE Floats low(Words word, int v, int shift) const {
    const Words row = Vector::left(Vector::right(word, shift), kLogWidth);
    return Vector::gather(table + v * Vector::kLanes, Vector::either(Vector::both(row, mask), Vector::lane_numbers()));
  }
  QB_INLINE Floats high(Words word, int v, int shift) const { return low(word, v, shift + 16); }
};

/// code - zero: the code becomes the low mantissa bits of 2^23, and 2^23 + zero is subtracted; exact.
template <class Vector, int kCodeBits, int kVectors>
struct Integers {
  static constexpr int kBits = kCodeBits;
  using Words = typename Vector::Words;
  using Floats = typename Vector::Floats;
  Floats zero[kVectors];
  std::int64_t zeros_at;  ///< in a group's parameters
  bool own_zeros;

  QB_INLINE explicit Integers(const WeightPanels& w)
      : zeros_at(bytes_of_scale(w.scale) * (1 + w.offsets) * kVectors * Vector::kLanes), own_zeros(w.zeros != 0) {
    QB_UNROLL for (int v = 0; v < kVectors; ++v) zero[v] = Vector::all(0x1p23f + w.zero);
  }
  QB_INLINE void begin_group(const unsigned char* parameters) {
    if (!own_zeros) return;
    QB_UNROLL for (int v = 0; v < kVectors; ++v) {
      const Floats own = Vector::to_floats(Vector::from_bytes(parameters + zeros_at + v * Vector::kLanes));
      zero[v] = Vector::add(Vector::all(0x1p23f), own);
    }
  }
  QB_INLINE Floats value_of(Words code, int v) const {
    const Words mask = Vector::all_words((1u << kBits) - 1u), two_to_23 = Vector::all_words(0x4b000000u);
    return Vector::subtract(Vector::as_floats(Vector::masked_or(code, mask, two_to_23)), zero[v]);
  }
  QB_INLINE Floats low(Words word, int v, int shift) const { return value_of(Vector::right(word, shift), v); }
  QB_INLINE Floats high(Words word, int v, int shift) const { return value_of(Vector::right(word, shift + 16), v); }
};

/// Floats of 6 or 8 bits: sign, exponent and mantissa move to where float32 has them; the product with a power of two
/// corrects the exponent and makes subnormal codes normal numbers.
template <class Vector, int kCodeBits, int kVectors>
struct SmallFloats {
  static constexpr int kBits = kCodeBits;
  using Words = typename Vector::Words;
  using Floats = typename Vector::Floats;
  Words shift, mask;
  Floats factor;

  QB_INLINE explicit SmallFloats(const WeightPanels& w)
      : shift(Vector::all_words(std::uint32_t(w.shift))),
        mask(Vector::all_words(w.mask)),
        factor(Vector::all(w.factor)) {}
  QB_INLINE void begin_group(const unsigned char*) {}
  QB_INLINE Floats value_of(Words sign_at_top) const {
    return Vector::multiply(Vector::as_floats(Vector::both(Vector::right_signed(sign_at_top, shift), mask)), factor);
  }
  QB_INLINE Floats low(Words word, int, int shift) const { return value_of(Vector::left(word, 32 - kBits - shift)); }
  QB_INLINE Floats high(Words word, int, int shift) const { return value_of(Vector::left(word, 16 - kBits - shift)); }
};

/// bf16 values: the upper halves of float32.
template <class Vector, int kCodeBits, int kVectors>
struct Values {
  static constexpr int kBits = kCodeBits;
  using Words = typename Vector::Words;
  using Floats = typename Vector::Floats;

  QB_INLINE explicit Values(const WeightPanels&) {}
  QB_INLINE void begin_group(const unsigned char*) {}
  QB_INLINE Floats low(Words word, int, int) const { return Vector::as_floats(Vector::left(word, 16)); }
  QB_INLINE Floats high(Words word, int, int) const {
    return Vector::as_floats(Vector::both(word, Vector::all_words(0xffff0000u)));
  }
};

}  // namespace

}  // namespace qb
