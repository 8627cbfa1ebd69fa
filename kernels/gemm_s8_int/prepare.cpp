#include "kernels/gemm_s8_int/prepare.h"

#include <algorithm>
#include <cstring>

#include "kernels/gemm_s8_int/gemm_s8_int.h"
#include "kernels/gemm_s8_int/integer_levels.h"
#include "kernels/gemm_s8_int/scale_forms.h"
#include "kernels/panels.h"

namespace qb {

namespace {

constexpr std::int64_t kChunk = 32;

/// The description without what only panels have.
S8Int describe(const PackedMatrix& weights) {
  require_exact_int32(weights);
  const QuantFormat& format = weights.format;
  const IntegerLevels levels = integer_levels(format);
  S8Int at{};
  at.group = format.sharing == Sharing::group ? format.group : weights.k;
  at.groups = groups_per_row(format, weights.k);
  at.bits = format.bits;
  at.codes = round_up(sizeof(S8Int), 64);
  at.middle_shift = format.zeros || format.offsets ? 32 : levels.middle_shift;
  const int middle = format.kind == CodeKind::levels ? 1 << levels.middle_shift : 0;
  for (std::size_t code = 0; code < std::min(std::size(at.level), std::size_t(1) << format.bits); ++code)
    at.level[code] = std::uint8_t(levels.level[code] + middle);
  return at;
}

/// Cuts the panels: how many groups share a section, and how long everything is.
struct PanelLayout {
  S8Int at;
  PanelShape shape;
  std::int64_t n, k;

  std::int64_t line() const { return 4 * shape.vector; }
  std::int64_t record_bytes() const { return at.scale_bytes + at.offset_bytes + at.zero_bytes; }
  std::int64_t section_bytes(std::int64_t width) const {
    return round_up(width * (at.super_bytes + at.groups_per_span * record_bytes()), line());
  }
  std::int64_t chunk_bytes(std::int64_t width) const { return width * kChunk * at.bits / 8; }
  std::int64_t span_bytes(std::int64_t width) const {
    return section_bytes(width) + (at.span + kChunk - 1) / kChunk * chunk_bytes(width);
  }
  std::int64_t panel_bytes(std::int64_t width) const {
    return (k + at.span - 1) / at.span * section_bytes(width) + (k + kChunk - 1) / kChunk * chunk_bytes(width);
  }

  void cut() {
    std::int64_t groups = 1;
    if (at.super_bytes)
      groups = kSuperGroup / at.group;
    else if (at.groups > 1)
      while (groups * at.group % kChunk || (at.group < 512 && groups * record_bytes() * shape.columns % line()))
        ++groups;
    at.groups_per_span = groups;
    at.span = groups * at.group;
    at.panel_bytes = panel_bytes(shape.columns);
  }
};

/// Where one column of a panel lies.
struct Place {
  std::byte* panel;
  std::int64_t width, column;
};

void place_codes(const PanelLayout& layout, const Place& place, const std::uint8_t* codes) {
  const S8Int& at = layout.at;
  const std::int64_t vector = place.column / layout.shape.vector, lane = place.column % layout.shape.vector;
  const std::int64_t line = layout.line(), chunk_bytes = layout.chunk_bytes(place.width);
  for (std::int64_t t = 0; t < layout.k; ++t) {
    const std::int64_t chunk = t % at.span / kChunk, quad = t % at.span % kChunk / 4;
    std::byte* lines = place.panel + t / at.span * layout.span_bytes(place.width) + layout.section_bytes(place.width) +
                       chunk * chunk_bytes + vector * at.bits * line;
    int below = 0;
    for (const int bits : {8, 4, 2, 1}) {
      if (!(at.bits & bits)) continue;
      const unsigned part = unsigned(codes[t]) >> below & ((1u << bits) - 1u);
      lines[quad % bits * line + lane * 4 + t % 4] |= std::byte(part << quad / bits * bits);
      lines += bits * line;
      below += bits;
    }
  }
}

void place_parameters(const PanelLayout& layout, const Place& place, const PackedMatrix& weights, std::int64_t row,
                      const ScaleForm& form) {
  const S8Int& at = layout.at;
  for (std::int64_t g = 0; g < at.groups; ++g) {
    std::byte* section = place.panel + g / at.groups_per_span * layout.span_bytes(place.width);
    if (at.super_bytes) {
      form.store_super(row, g, section + place.column * 2);
      if (at.offset_bytes) form.store_offset_super(row, g, section + (place.width + place.column) * 2);
    }
    std::byte* record = section + place.width * (at.super_bytes + g % at.groups_per_span * layout.record_bytes());
    form.store_scale(row, g, record + place.column * at.scale_bytes);
    record += place.width * at.scale_bytes;
    if (at.offset_bytes) form.store_offset(row, g, record + place.column * at.offset_bytes);
    record += place.width * at.offset_bytes;
    if (at.zero_bytes) record[place.column] = std::byte(zero_of(weights, row, g * at.group));
  }
}

}  // namespace

bool gemm_s8_int_accepts(const QuantFormat& format, std::int64_t) {
  if (!has_integer_levels(format)) return false;
  if (format.sharing == Sharing::group) return format.group % 16 == 0;
  return format.kind != CodeKind::integer || format.bits < 8 || format.offsets;
}

Buffer prepare_s8_int_ref(const PackedMatrix& weights) {
  S8Int at = describe(weights);
  const IntegerLevels levels = integer_levels(weights.format);
  const std::int64_t parameters = round_up(4 * weights.n * at.groups, 64);
  at.scales = at.codes + round_up(2 * weights.n * weights.k, 64);
  at.offsets = at.scales + parameters;
  at.offset_bytes = weights.format.offsets ? 4 : 0;
  Buffer bytes(std::size_t(at.offsets + (at.offset_bytes ? parameters : 0)));
  *bytes.as<S8Int>() = at;
  std::byte* base = bytes.data();
  std::vector<std::uint8_t> codes(std::size_t(weights.k));
  for (std::int64_t j = 0; j < weights.n; ++j) {
    unpack_row(weights, j, codes.data());
    auto* level = reinterpret_cast<std::int16_t*>(base + at.codes) + j * weights.k;
    for (std::int64_t t = 0; t < weights.k; ++t)
      level[t] = std::int16_t(levels.level[codes[std::size_t(t)]] - zero_level(weights, j, t));
    for (std::int64_t g = 0; g < at.groups; ++g) {
      const auto parameter = std::size_t(weights.parameter_index(j, g * at.group));
      reinterpret_cast<float*>(base + at.scales)[j * at.groups + g] = levels.unit * weights.scales[parameter];
      if (at.offset_bytes) reinterpret_cast<float*>(base + at.offsets)[j * at.groups + g] = weights.offsets[parameter];
    }
  }
  return bytes;
}

Buffer prepare_s8_int_panels(const PackedMatrix& weights, std::int64_t columns, std::int64_t vector) {
  PanelLayout layout{describe(weights), {columns, vector, 4}, weights.n, weights.k};
  S8Int& at = layout.at;
  const ScaleForm form(weights, integer_levels(weights.format).unit);
  form.describe(at);
  at.zero_bytes = weights.format.zeros ? 1 : 0;
  layout.cut();
  const std::int64_t last = (weights.n - 1) / columns * columns;
  Buffer bytes(
      std::size_t(at.codes + last / columns * at.panel_bytes + layout.panel_bytes(round_up(weights.n - last, vector))));
  *bytes.as<S8Int>() = at;
  std::vector<std::uint8_t> codes(std::size_t(weights.k));
  for (std::int64_t j = 0; j < weights.n; ++j) {
    const std::int64_t first = j / columns * columns;
    const Place place{bytes.data() + at.codes + j / columns * at.panel_bytes,
                      std::min(columns, round_up(weights.n - first, vector)), j - first};
    unpack_row(weights, j, codes.data());
    place_codes(layout, place, codes.data());
    place_parameters(layout, place, weights, j, form);
  }
  return bytes;
}

}  // namespace qb
