#include "kernels/gemm_s8_q4/prepare.h"

#include <fmt/format.h>

#include "kernels/gemm_s8_q4/gemm_s8_q4.h"
#include "kernels/gemm_s8_q8/prepare.h"
#include "kernels/panels.h"

namespace qb {

namespace {

S8Q4 describe(const PackedMatrix& weights) {
  S8Q4 at{};
  at.group = weights.format.sharing == Sharing::group ? weights.format.group : weights.k;
  at.groups = groups_per_row(weights.format, weights.k);
  at.chunk = at.groups == 1 || at.group % 32 == 0 ? 32 : 16;
  at.middle_shift = weights.format.bits - 1;
  at.codes = 64;
  if (std::min(at.group, weights.k) > exact_int32_depth(weights.format))
    throw Unsupported(
        fmt::format("weights of format {} with k = {}: a sum could leave int32; {} weights per scale are exact",
                    to_text(weights.format), weights.k, exact_int32_depth(weights.format)));
  return at;
}

/// Where the weights of one panel lie in the variants' layout.
struct ChunkLayout {
  S8Q4 at;
  PanelShape shape;
  std::int64_t n, k;

  /// Chunks that a row has up to the beginning of group g; groups begin with a new chunk.
  std::int64_t chunks_before(std::int64_t g) const {
    const std::int64_t chunks_of_row = (k + at.chunk - 1) / at.chunk;
    return at.groups == 1 ? g * chunks_of_row : std::min(g * (at.group / at.chunk), chunks_of_row);
  }
  std::int64_t bytes_per_column() const { return chunks_before(at.groups) * at.chunk / 2 + at.groups * 4; }
  std::int64_t panel_begin(std::int64_t first_column) const { return first_column * bytes_per_column(); }
  std::int64_t group_begin(std::int64_t width, std::int64_t g) const {
    return width * (chunks_before(g) * at.chunk / 2 + g * 4);
  }
};

void place_column(const ChunkLayout& layout, std::int64_t j, const PackedMatrix& weights, const std::uint8_t* codes,
                  std::byte* base) {
  const S8Q4& at = layout.at;
  const std::int64_t first = j / layout.shape.columns * layout.shape.columns;
  const std::int64_t width = std::min(layout.shape.columns, round_up(layout.n - first, layout.shape.vector));
  const std::int64_t vector = (j - first) / layout.shape.vector, lane = (j - first) % layout.shape.vector;
  const std::int64_t line = 4 * layout.shape.vector, half = at.chunk / 2;
  std::byte* panel = base + at.codes + layout.panel_begin(first);
  for (std::int64_t g = 0; g < at.groups; ++g) {
    std::byte* group = panel + layout.group_begin(width, g);
    const std::int64_t begin = g * at.group, end = std::min(begin + at.group, layout.k);
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t chunk = (t - begin) / at.chunk, within = (t - begin) % at.chunk, place = within % half;
      std::byte* byte =
          group + chunk * width * half + vector * (half / 4) * line + place / 4 * line + lane * 4 + place % 4;
      *byte |= std::byte(within < half ? codes[t] : codes[t] << 4);
    }
    const std::int64_t chunks = layout.chunks_before(g + 1) - layout.chunks_before(g);
    reinterpret_cast<float*>(group + chunks * width * half)[j - first] =
        weights.scales[std::size_t(weights.parameter_index(j, begin))];
    if (at.zero)
      reinterpret_cast<std::int32_t*>(base + at.zero)[first * at.groups + g * width + j - first] =
          zero_of(weights, j, begin);
  }
}

Buffer interleave(const PackedMatrix& weights, std::int64_t columns, std::int64_t vector) {
  ChunkLayout layout{describe(weights), {columns, vector, 4}, weights.n, weights.k};
  const std::int64_t padded = round_up(weights.n, vector);
  const std::int64_t end_of_codes = round_up(layout.at.codes + layout.panel_begin(padded), 64);
  if (weights.format.zeros) layout.at.zero = end_of_codes;
  Buffer bytes(std::size_t(end_of_codes + (weights.format.zeros ? 4 * padded * layout.at.groups : 0)));
  *bytes.as<S8Q4>() = layout.at;
  std::vector<std::uint8_t> row(std::size_t(weights.k));
  for (std::int64_t j = 0; j < weights.n; ++j) {
    unpack_row(weights, j, row.data());
    place_column(layout, j, weights, row.data(), bytes.data());
  }
  return bytes;
}

}  // namespace

bool gemm_s8_q4_accepts(const QuantFormat& format, std::int64_t) {
  if (format.kind != CodeKind::integer || format.bits > 4 || format.offsets) return false;
  return format.sharing != Sharing::group || format.group % 16 == 0;
}

Buffer prepare_s8_q4_ref(const PackedMatrix& weights) {
  S8Q4 at = describe(weights);
  const std::int64_t parameters = round_up(4 * weights.n * at.groups, 64);
  at.scale = at.codes + round_up(weights.n * weights.k, 64);
  at.zero = at.scale + parameters;
  Buffer bytes(std::size_t(at.zero + parameters));
  *bytes.as<S8Q4>() = at;
  std::byte* base = bytes.data();
  for (std::int64_t j = 0; j < weights.n; ++j) {
    unpack_row(weights, j, reinterpret_cast<std::uint8_t*>(base + at.codes) + j * weights.k);
    for (std::int64_t g = 0; g < at.groups; ++g) {
      const std::int64_t parameter = weights.parameter_index(j, g * at.group);
      reinterpret_cast<float*>(base + at.scale)[j * at.groups + g] = weights.scales[std::size_t(parameter)];
      reinterpret_cast<std::int32_t*>(base + at.zero)[j * at.groups + g] = zero_of(weights, j, g * at.group);
    }
  }
  return bytes;
}

Buffer prepare_s8_q4_avx2(const PackedMatrix& weights) { return interleave(weights, 8, 8); }
Buffer prepare_s8_q4_avx512vnni(const PackedMatrix& weights) { return interleave(weights, 32, 16); }

}  // namespace qb
