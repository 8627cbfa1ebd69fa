// The characters as strokes.
#pragma once
#include <cstdint>
#include <vector>

namespace qb {

struct GlyphPoint {
  double x = 0, y = 0;
};
using GlyphStroke = std::vector<GlyphPoint>;  ///< at least two points, joined by straight lines

/// One way of writing one character, in a box of 10 units across and 14 down; y points down.
struct GlyphShape {
  std::int64_t glyph = 0;  ///< index of its class
  std::vector<GlyphStroke> strokes;
};

inline constexpr std::int64_t kGlyphCount = 47;
inline constexpr double kGlyphWidth = 10, kGlyphHeight = 14;

/// All shapes in order of their class; every class has at least one. No segment is longer than one unit and a half.
const std::vector<GlyphShape>& glyph_shapes();

}  // namespace qb
