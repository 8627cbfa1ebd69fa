#include "kernels/gemm_f32_w/prepare.h"

#include <cstring>

#include "kernels/base/small_floats.h"
#include "kernels/gemm_f32_w/channel_tables.h"
#include "kernels/gemm_f32_w/gemm_f32_w.h"
#include "kernels/gemm_f32_w/weight_panels.h"
#include "kernels/panels.h"

namespace qb {

namespace {

std::int64_t group_of(const PackedMatrix& weights) {
  return weights.format.sharing == Sharing::group ? weights.format.group : weights.k;
}

/// The levels that all codes share, by code; empty where each group has its own.
std::vector<float> shared_levels(const PackedMatrix& weights, LevelRounding rounding) {
  const QuantFormat& format = weights.format;
  std::vector<float> levels;
  if (format.kind == CodeKind::levels) {
    const auto set = levels_of(format.levels);
    levels.assign(set.begin(), set.end());
    levels.resize(std::size_t(1) << std::max(format.bits, 2), 0.0f);  // ternary has three
  } else if (format.kind == CodeKind::table && format.sharing == Sharing::tensor) {
    levels = weights.table;
  } else if (format.kind == CodeKind::integer) {
    const float zero = format.zeros || format.offsets ? 0.0f : float(1 << (format.bits - 1));
    for (int code = 0; code < 1 << format.bits; ++code) levels.push_back(float(code) - zero);
  }
  for (float& level : levels) level = rounded_level(level, rounding);
  return levels;
}

/// Bits that a code takes: trits are stored as two.
int stored_bits(const QuantFormat& format) { return format.levels == LevelSet::trit ? 2 : format.bits; }

void describe_small_float(const FloatFormat& format, WeightPanels& at) {
  at.decoding = Decoding::small_floats;
  // The exponent's low bit comes to stand at bit 23, where float32 has it; the sign is copied downward meanwhile.
  at.shift = 8 - format.exponent_bits;
  const auto below_sign = std::uint32_t((1u << (format.exponent_bits + format.mantissa_bits)) - 1u);
  at.mask = 0x80000000u | below_sign << (23 - format.mantissa_bits);
  at.factor = std::bit_cast<float>(std::uint32_t(127 + 127 - format.bias) << 23);  // 2^(127 - bias)
}

/// The layout of codes that are bit patterns; null for others.
const FloatFormat* small_float(LevelSet levels) {
  switch (levels) {
    case LevelSet::e4m3: return &kE4M3FN;
    case LevelSet::e5m2: return &kE5M2;
    case LevelSet::e2m3: return &kE2M3FN;
    case LevelSet::e3m2: return &kE3M2FN;
    default: return nullptr;
  }
}

void describe_decoding(const PackedMatrix& weights, LevelRounding rounding, WeightPanels& at) {
  const QuantFormat& format = weights.format;
  at.bits = stored_bits(format);
  const std::vector<float> levels = shared_levels(weights, rounding);
  for (std::size_t i = 0; !levels.empty() && i < 256; ++i) at.table[i] = levels[i % (std::size_t(1) << at.bits)];
  if (format.kind == CodeKind::bf16) {
    at.decoding = Decoding::values;
  } else if (format.kind == CodeKind::integer && (format.zeros || format.offsets || format.bits > 4)) {
    at.decoding = Decoding::integers;
    at.zeros = format.zeros;
    at.offsets = format.offsets;
    at.rounds_values = format.offsets && rounding == LevelRounding::bf16;
    at.zero = format.offsets ? 0.0f : float(1 << (format.bits - 1));
  } else if (small_float(format.levels)) {
    describe_small_float(*small_float(format.levels), at);
  } else {
    at.decoding = levels.empty() ? Decoding::column_levels : Decoding::levels;
  }
}

PanelScales scale_form(const QuantFormat& format) {
  if (format.kind == CodeKind::table || is_float(format.kind)) return PanelScales::none;
  if (format.scale == ScaleType::f16) return PanelScales::f16;
  return format.scale == ScaleType::e8m0 ? PanelScales::power : PanelScales::f32;
}

std::int64_t bytes_of(PanelScales form) {
  switch (form) {
    case PanelScales::none: break;
    case PanelScales::f32: return 4;
    case PanelScales::f16: return 2;
    case PanelScales::power: return 1;
  }
  return 0;
}

WeightPanels describe(const PackedMatrix& weights, LevelRounding rounding) {
  WeightPanels at{};
  describe_decoding(weights, rounding, at);
  at.scale = scale_form(weights.format);
  at.group = group_of(weights);
  at.groups = groups_per_row(weights.format, weights.k);
  at.chunks = (weights.k + kChunk - 1) / kChunk;
  at.group_bytes = at.decoding == Decoding::column_levels ? std::int64_t(4) << at.bits
                                                          : bytes_of(at.scale) * (1 + at.offsets) + at.zeros;
  at.column_bytes = at.chunks * 4 * at.bits + at.groups * at.group_bytes;
  at.stream = round_up(sizeof(WeightPanels), 64);
  return at;
}

/// Columns [first, first + width) of a matrix, of which those below n exist.
struct Panel {
  const PackedMatrix& weights;
  const WeightPanels& at;
  LevelRounding rounding;
  std::int64_t first, width;
  std::vector<std::uint16_t> codes;  ///< [width, chunks * 32]
  std::byte* out;
};

void store_scale(float value, PanelScales form, std::byte* out) {
  const std::uint16_t half = form == PanelScales::f16 ? f16_from_f32(value) : 0;
  const std::uint8_t power = form == PanelScales::power ? std::uint8_t(encode(kE8M0FNU, value)) : 0;
  if (form == PanelScales::f32) std::memcpy(out, &value, sizeof value);
  if (form == PanelScales::f16) std::memcpy(out, &half, sizeof half);
  if (form == PanelScales::power) std::memcpy(out, &power, sizeof power);
}

void store_parameters(Panel& panel, std::int64_t g) {
  const WeightPanels& at = panel.at;
  const std::int64_t size = bytes_of(at.scale);
  for (std::int64_t c = 0; c < panel.width && panel.first + c < panel.weights.n; ++c) {
    const auto parameter = std::size_t(panel.weights.parameter_index(panel.first + c, g * at.group));
    if (at.scale != PanelScales::none) store_scale(panel.weights.scales[parameter], at.scale, panel.out + c * size);
    if (at.offsets) store_scale(panel.weights.offsets[parameter], at.scale, panel.out + (panel.width + c) * size);
    if (at.zeros) panel.out[panel.width * size * (1 + at.offsets) + c] = std::byte(panel.weights.zeros[parameter]);
    if (at.decoding == Decoding::column_levels)
      for (std::int64_t code = 0; code < std::int64_t(1) << at.bits; ++code) {
        const float level =
            rounded_level(panel.weights.table[(parameter << at.bits) + std::size_t(code)], panel.rounding);
        std::memcpy(panel.out + (code * panel.width + c) * 4, &level, sizeof level);
      }
  }
  panel.out += panel.width * at.group_bytes;
}

void store_codes(Panel& panel, std::int64_t chunk) {
  const std::int64_t bits = panel.at.bits;
  for (std::int64_t c = 0; c < panel.width; ++c)
    for (std::int64_t t = 0; t < kChunk; ++t) {
      const std::uint32_t code = panel.codes[std::size_t((c * panel.at.chunks + chunk) * kChunk + t)];
      const std::int64_t bit = t / 2 * bits;
      const std::uint32_t placed = code << (bit % 16);
      for (std::int64_t part = 0; part < 2; ++part) {  // a code may reach into the next word
        const auto half = std::uint16_t(placed >> (16 * part));
        if (half == 0) continue;
        std::byte* place = panel.out + ((bit / 16 + part) * panel.width + c) * 4 + t % 2 * 2;
        std::uint16_t word;
        std::memcpy(&word, place, sizeof word);
        word = std::uint16_t(word | half);
        std::memcpy(place, &word, sizeof word);
      }
    }
  panel.out += panel.width * 4 * bits;
}

void fill_panel(Panel& panel) {
  const PackedMatrix& weights = panel.weights;
  const std::int64_t padded = panel.at.chunks * kChunk;
  panel.codes.assign(std::size_t(panel.width * padded), 0);
  std::vector<std::uint8_t> row(std::size_t(weights.k));
  for (std::int64_t c = 0; c < panel.width && panel.first + c < weights.n; ++c) {
    std::uint16_t* codes = panel.codes.data() + c * padded;
    if (weights.format.kind == CodeKind::bf16) {
      std::memcpy(codes, weights.codes.as<std::uint16_t>() + (panel.first + c) * weights.k, std::size_t(2 * weights.k));
    } else {
      unpack_row(weights, panel.first + c, row.data());
      std::copy(row.begin(), row.end(), codes);
    }
  }
  std::int64_t group = 0;
  for (std::int64_t chunk = 0; chunk < panel.at.chunks; ++chunk) {
    for (; group < panel.at.groups && group * panel.at.group < (chunk + 1) * kChunk; ++group)
      if (panel.at.group_bytes > 0) store_parameters(panel, group);
    store_codes(panel, chunk);
  }
}

/// Appends the array to the buffer's plan and gives its offset.
std::int64_t reserve(std::int64_t& end, std::int64_t bytes) {
  const std::int64_t offset = end;
  end = round_up(end + bytes, 64);
  return offset;
}

template <class T>
void copy_to(std::byte* base, std::int64_t offset, const std::vector<T>& values) {
  if (offset) std::memcpy(base + offset, values.data(), values.size() * sizeof(T));
}

/// [n, groups] from what rows and groups share.
template <class T>
std::vector<float> by_group(const PackedMatrix& weights, const std::vector<T>& values) {
  std::vector<float> all;
  for (std::int64_t j = 0; j < weights.n && !values.empty(); ++j)
    for (std::int64_t t = 0; t < weights.k; t += group_of(weights))
      all.push_back(float(values[std::size_t(weights.parameter_index(j, t))]));
  return all;
}

}  // namespace

Buffer make_weight_panels(const PackedMatrix& weights, const PanelForm& form) {
  if (has_channel_tables(weights.format)) return make_channel_tables(weights, form);
  const std::int64_t lanes = form.lanes;
  const WeightPanels at = describe(weights, form.rounding);
  Buffer bytes(std::size_t(at.stream + round_up(weights.n, lanes) * at.column_bytes));
  *bytes.as<WeightPanels>() = at;
  for (std::int64_t first = 0; first < weights.n;) {
    const std::int64_t width = weights.n - first >= 4 * lanes ? 4 * lanes : lanes;
    Panel panel{weights, at, form.rounding, first, width, {}, bytes.data() + at.stream + first * at.column_bytes};
    fill_panel(panel);
    first += width;
  }
  return bytes;
}

Buffer make_weight_codes(const PackedMatrix& weights, LevelRounding rounding) {
  WeightCodes at{};
  at.group = group_of(weights);
  at.groups = groups_per_row(weights.format, weights.k);
  const bool values = weights.format.kind == CodeKind::bf16;
  std::vector<float> table = shared_levels(weights, rounding);
  at.own_tables = table.empty() && !values;
  if (at.own_tables)
    for (const float level : weights.table) table.push_back(rounded_level(level, rounding));
  at.table_size = at.own_tables ? std::int64_t(1) << weights.format.bits : std::ssize(table);
  const std::vector<float> zero = by_group(weights, weights.zeros), scale = by_group(weights, weights.scales),
                           offset = by_group(weights, weights.offsets);
  std::int64_t end = round_up(sizeof at, 64);
  (values ? at.values : at.codes) = reserve(end, weights.n * weights.k * (values ? 2 : 1));
  const auto place = [&](const std::vector<float>& list) {
    return list.empty() ? 0 : reserve(end, 4 * std::ssize(list));
  };
  at.table = place(table);
  at.zero = place(zero);
  at.scale = place(scale);
  at.offset = place(offset);
  Buffer bytes{std::size_t(end)};
  *bytes.as<WeightCodes>() = at;
  if (values) std::memcpy(bytes.data() + at.values, weights.codes.data(), std::size_t(2 * weights.n * weights.k));
  for (std::int64_t j = 0; !values && j < weights.n; ++j)
    unpack_row(weights, j, reinterpret_cast<std::uint8_t*>(bytes.data() + at.codes) + j * weights.k);
  copy_to(bytes.data(), at.table, table);
  copy_to(bytes.data(), at.zero, zero);
  copy_to(bytes.data(), at.scale, scale);
  copy_to(bytes.data(), at.offset, offset);
  return bytes;
}

bool gemm_f32_w_accepts(const QuantFormat& format, std::int64_t) {
  // A table with scales has one per row, not per group: gemm_f32_f32 and gemm_bf16_bf16 decode it when it is loaded.
  if (format.kind == CodeKind::f32 || (format.kind == CodeKind::table && format.offsets)) return false;
  return format.sharing != Sharing::group || format.group % 16 == 0;
}

Buffer prepare_f32_w_ref(const PackedMatrix& weights) { return make_weight_codes(weights, LevelRounding::none); }

}  // namespace qb
