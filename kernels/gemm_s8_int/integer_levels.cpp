#include "kernels/gemm_s8_int/integer_levels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "kernels/base/error.h"

namespace qb {

namespace {

struct SetUnit {
  LevelSet levels;
  float unit;
  int middle_shift;
};
constexpr SetUnit kSetUnits[] = {
    {LevelSet::binary, 1.0f, 0}, {LevelSet::ternary, 1.0f, 0}, {LevelSet::trit, 1.0f, 0}, {LevelSet::e2m1, 0.5f, 4},
    {LevelSet::e2m3, 0.125f, 6}, {LevelSet::iq4nl, 1.0f, 7},   {LevelSet::pot4, 1.0f, 7}, {LevelSet::apot4, 1.0f, 4},
};

const SetUnit* find_set(LevelSet levels) {
  const auto* found = std::find_if(std::begin(kSetUnits), std::end(kSetUnits),
                                   [&](const SetUnit& candidate) { return candidate.levels == levels; });
  return found == std::end(kSetUnits) ? nullptr : found;
}

/// The largest |level - zero| of the format.
std::int64_t largest_level(const QuantFormat& format) {
  if (format.kind == CodeKind::integer)
    return format.zeros || format.offsets ? (1 << format.bits) - 1 : 1 << (format.bits - 1);
  const IntegerLevels levels = integer_levels(format);
  int largest = 0;
  for (const std::int16_t level : levels.level) largest = std::max(largest, std::abs(int(level)));
  return largest;
}

}  // namespace

bool has_integer_levels(const QuantFormat& format) {
  return format.kind == CodeKind::integer || (format.kind == CodeKind::levels && find_set(format.levels));
}

IntegerLevels integer_levels(const QuantFormat& format) {
  QB_EXPECTS(has_integer_levels(format));
  IntegerLevels made;
  if (format.kind == CodeKind::integer) {
    made.middle_shift = format.bits - 1;
    for (std::size_t code = 0; code < made.level.size(); ++code) made.level[code] = std::int16_t(code);
    return made;
  }
  const SetUnit& set = *find_set(format.levels);
  made.unit = set.unit;
  made.middle_shift = set.middle_shift;
  const auto levels = levels_of(format.levels);
  for (std::size_t code = 0; code < levels.size(); ++code)
    made.level[code] = std::int16_t(std::lrint(levels[code] / set.unit));
  return made;
}

int zero_level(const PackedMatrix& matrix, std::int64_t row, std::int64_t column) {
  const bool none = matrix.format.kind != CodeKind::integer || matrix.format.offsets;
  return none ? 0 : zero_of(matrix, row, column);
}

void require_exact_int32(const PackedMatrix& matrix) {
  constexpr std::int64_t kActivation = 255;  // |code - zero| of an asymmetric int8 activation
  const QuantFormat& format = matrix.format;
  const std::int64_t shared = format.sharing == Sharing::group ? std::min(format.group, matrix.k) : matrix.k;
  const std::int64_t exact = std::numeric_limits<std::int32_t>::max() / (kActivation * largest_level(format));
  if (shared > exact)
    throw Unsupported(
        fmt::format("weights of format {} with k = {}: a sum could leave int32; {} weights per scale are exact",
                    to_text(format), matrix.k, exact));
}

}  // namespace qb
