#include "kernels/gemm_f32_w/channel_tables.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/base/small_floats.h"
#include "kernels/gemm_f32_w/weight_panels.h"
#include "kernels/panels.h"

namespace qb {

namespace {

WeightPanels describe(const PackedMatrix& weights, const PanelForm& form) {
  WeightPanels at{};
  at.decoding = Decoding::channel_levels;
  at.bits = weights.format.bits;
  at.group = weights.k;
  at.groups = 1;
  const std::int64_t line = 4 * form.lanes,
                     codes_per_line = line * 8 / form.table_element_bits * (form.table_element_bits / at.bits);
  at.chunks = (weights.k + codes_per_line - 1) / codes_per_line;
  at.group_bytes = std::max(kLeastTable, (std::int64_t(1) << at.bits) * form.table_element_bits / 8);
  at.column_bytes = at.group_bytes + at.chunks * line;
  at.stream = round_up(sizeof(WeightPanels), 64);
  return at;
}

/// The column's levels as elements, repeated until the table is full.
template <class Element>
void store_table(const PackedMatrix& weights, std::int64_t column, std::int64_t entries, LevelRounding rounding,
                 std::byte* out) {
  const float* levels = weights.table.data() + (weights.parameter_index(column, 0) << weights.format.bits);
  for (std::int64_t i = 0; i < entries; ++i) {
    const float level = rounded_level(levels[i % (std::int64_t(1) << weights.format.bits)], rounding);
    const auto element = Element(std::bit_cast<std::uint32_t>(level) >> (32 - 8 * sizeof(Element)));
    std::memcpy(out + i * std::int64_t(sizeof element), &element, sizeof element);
  }
}

/// The column's codes, chunk after chunk, each `step` bytes behind the one before it.
template <class Element>
void store_codes(const std::vector<std::uint8_t>& codes, int bits, std::int64_t elements, std::int64_t step,
                 std::byte* out) {
  const std::int64_t codes_per_element = 8 * std::int64_t(sizeof(Element)) / bits, chunk = elements * codes_per_element;
  for (std::int64_t t = 0; t < std::ssize(codes); ++t) {
    const std::int64_t in_chunk = t % chunk;
    std::byte* place = out + t / chunk * step + in_chunk % elements * std::int64_t(sizeof(Element));
    Element element;
    std::memcpy(&element, place, sizeof element);
    element = Element(element | std::uint32_t(codes[std::size_t(t)]) << (in_chunk / elements * bits));
    std::memcpy(place, &element, sizeof element);
  }
}

template <class Element>
Buffer fill(const PackedMatrix& weights, const PanelForm& form) {
  const WeightPanels at = describe(weights, form);
  const std::int64_t line = 4 * form.lanes, element = sizeof(Element);
  Buffer bytes(std::size_t(at.stream + round_up(weights.n, kTableColumns) * at.column_bytes));
  *bytes.as<WeightPanels>() = at;
  std::vector<std::uint8_t> codes(std::size_t(weights.k));
  for (std::int64_t j = 0; j < weights.n; ++j) {
    const std::int64_t in_block = j % kTableColumns;
    std::byte* block = bytes.data() + at.stream + (j - in_block) * at.column_bytes;
    store_table<Element>(weights, j, at.group_bytes / element, form.rounding, block + in_block * at.group_bytes);
    unpack_row(weights, j, codes.data());
    store_codes<Element>(codes, int(at.bits), line / element, kTableColumns * line,
                         block + kTableColumns * at.group_bytes + in_block * line);
  }
  return bytes;
}

}  // namespace

bool has_channel_tables(const QuantFormat& format) {
  return format.kind == CodeKind::table && format.sharing == Sharing::channel;
}

Buffer make_channel_tables(const PackedMatrix& weights, const PanelForm& form) {
  return form.table_element_bits == 16 ? fill<std::uint16_t>(weights, form) : fill<std::uint32_t>(weights, form);
}

float rounded_level(float level, LevelRounding rounding) {
  return rounding == LevelRounding::bf16 ? f32_from_bf16(bf16_from_f32(level)) : level;
}

}  // namespace qb
