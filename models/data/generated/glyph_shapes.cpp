#include "models/data/generated/glyph_shapes.h"

#include <array>
#include <cmath>
#include <string_view>

#include "kernels/base/error.h"
#include "kernels/base/text.h"
#include "models/data/generated/generated.h"

namespace qb {
namespace {

struct Drawing {
  char name;
  std::string_view strokes;
};

/// Strokes are parted by ';'. "L x y x y ..." joins points. "A cx cy rx ry from to" is a part of an ellipse, clockwise
/// as seen, in sixteenths of a turn: 0 is right, 4 down, 8 left, 12 up. A character with two rows is written in two
/// ways.
constexpr std::array kDrawings = {
    Drawing{'0', "A 5 7 4 7 0 16;L 2 12 8 2"},
    Drawing{'1', "L 2 3 5 0 5 14;L 2 14 8 14"},
    Drawing{'2', "A 5 4 4 4 8 18;L 7.8 6.8 1 14 9 14"},
    Drawing{'3', "A 4.5 3.6 3.7 3.6 9 20;A 4.5 10.6 4.2 3.4 12 23"},
    Drawing{'4', "L 7 14 7 0 1 9.5 9.5 9.5"},
    Drawing{'4', "L 2 0 1 8 9 8;L 7 4 7 14"},
    Drawing{'5', "L 9 0 2 0 1.5 6 3.2 5.3;A 4.8 9.5 4.2 4.5 11 23"},
    Drawing{'6', "A 5 10 4 4 0 16;A 9 10 8 10 8 12"},
    Drawing{'7', "L 1 0 9 0 4 14"},
    Drawing{'7', "L 1 0 9 0 4 14;L 3 7 9 7"},
    Drawing{'8', "A 5 3.5 3.3 3.5 0 16;A 5 10.5 4.2 3.5 0 16"},
    Drawing{'9', "A 5 4 4 4 0 16;A 1 4 8 10 0 4"},
    Drawing{'A', "L 0 14 5 0 10 14;L 2 9 8 9"},
    Drawing{'B', "L 1 0 1 14;L 1 0 5 0;A 5 3.5 3.5 3.5 12 20;L 1 7 5 7;A 5 10.5 4.5 3.5 12 20;L 1 14 5 14"},
    Drawing{'C', "A 6 7 5 7 2 14"},
    Drawing{'D', "L 1 0 1 14;L 1 0 4 0;A 4 7 5.5 7 12 20;L 1 14 4 14"},
    Drawing{'E', "L 9 0 1 0 1 14 9 14;L 1 7 7 7"},
    Drawing{'F', "L 9 0 1 0 1 14;L 1 7 7 7"},
    Drawing{'G', "A 5.5 7 5 7 0 14;L 10.5 7 6 7"},
    Drawing{'H', "L 1 0 1 14;L 9 0 9 14;L 1 7 9 7"},
    Drawing{'I', "L 5 0 5 14;L 2 0 8 0;L 2 14 8 14"},
    Drawing{'J', "L 4 0 9 0;L 7 0 7 10;A 4 10 3 4 0 7"},
    Drawing{'K', "L 1 0 1 14;L 9 0 1 8;L 4 5 9 14"},
    Drawing{'L', "L 1 0 1 14 9 14"},
    Drawing{'M', "L 0 14 1 0 5 9 9 0 10 14"},
    Drawing{'N', "L 1 14 1 0 9 14 9 0"},
    Drawing{'O', "A 5 7 5 7 0 16"},
    Drawing{'P', "L 1 14 1 0 5 0;A 5 3.75 4 3.75 12 20;L 5 7.5 1 7.5"},
    Drawing{'Q', "A 5 7 5 7 0 16;L 6 9.5 10 15"},
    Drawing{'R', "L 1 14 1 0 5 0;A 5 3.75 4 3.75 12 20;L 5 7.5 1 7.5;L 4.5 7.5 9 14"},
    Drawing{'S', "A 5 3.6 4 3.6 4 15;A 5 10.6 4 3.4 12 23"},
    Drawing{'T', "L 0 0 10 0;L 5 0 5 14"},
    Drawing{'U', "L 1 0 1 9;A 5 9 4 5 0 8;L 9 9 9 0"},
    Drawing{'V', "L 0 0 5 14 10 0"},
    Drawing{'W', "L 0 0 2.5 14 5 4 7.5 14 10 0"},
    Drawing{'X', "L 1 0 9 14;L 9 0 1 14"},
    Drawing{'Y', "L 0 0 5 7 10 0;L 5 7 5 14"},
    Drawing{'Z', "L 1 0 9 0 1 14 9 14"},
    Drawing{'Z', "L 1 0 9 0 1 14 9 14;L 2.5 7 7.5 7"},
    Drawing{'a', "A 4.5 9.5 3.5 4.5 0 16;L 8 5 8 12.5 9.5 14"},
    Drawing{'b', "L 1 0 1 14;A 5 9.75 4 4.25 0 16"},
    Drawing{'d', "L 9 0 9 14;A 5 9.75 4 4.25 0 16"},
    Drawing{'e', "A 5 9.5 4.2 4.5 2 16;L 0.8 9.5 9.2 9.5"},
    Drawing{'f', "A 7 3.5 3 3.5 8 14;L 4 3.5 4 14;L 1 6 8 6"},
    Drawing{'g', "A 5 4 4 4 0 16;L 9 0 9 11;A 5 11 4 4 0 7"},
    Drawing{'h', "L 1 0 1 14;A 5 9 4 4 8 16;L 9 9 9 14"},
    Drawing{'n', "L 1 5 1 14;A 5 9 4 4 8 16;L 9 9 9 14"},
    Drawing{'q', "A 5 4 4 4 0 16;L 9 0 9 14 11.5 11.5"},
    Drawing{'r', "L 2 5 2 14;A 6 9 4 4 8 14"},
    Drawing{'t', "L 4 1 4 11;A 7 11 3 3 2 8;L 1 5 8 5"},
};

/// cos of i sixteenths of a turn.
double sixteenth_cosine(std::int64_t i) {
  constexpr std::array kQuarter = {1.0, 0x1.d906bcf328d46p-1, 0x1.6a09e667f3bcdp-1, 0x1.87de2a6aea963p-2, 0.0};
  const auto turn = std::size_t(i & 15);
  const std::size_t folded = turn <= 8 ? turn : 16 - turn;
  return folded <= 4 ? kQuarter[folded] : -kQuarter[8 - folded];
}

GlyphStroke arc(const std::vector<double>& numbers) {
  QB_EXPECTS(numbers.size() == 6);
  GlyphStroke points;
  for (auto i = std::int64_t(numbers[4]); i <= std::int64_t(numbers[5]); ++i)
    points.push_back(
        {numbers[0] + numbers[2] * sixteenth_cosine(i), numbers[1] + numbers[3] * sixteenth_cosine(i - 4)});
  return points;
}

/// Cuts lines so that a displacement can bend them.
GlyphStroke polyline(const std::vector<double>& numbers) {
  QB_EXPECTS(numbers.size() >= 4 && numbers.size() % 2 == 0);
  GlyphStroke points = {{numbers[0], numbers[1]}};
  for (std::size_t i = 2; i < numbers.size(); i += 2) {
    const GlyphPoint from = points.back(), to = {numbers[i], numbers[i + 1]};
    const double dx = to.x - from.x, dy = to.y - from.y;
    const int parts = 1 + int(std::sqrt(dx * dx + dy * dy) / 1.5);
    for (int part = 1; part <= parts; ++part)
      points.push_back({from.x + dx * part / parts, from.y + dy * part / parts});
  }
  return points;
}

GlyphStroke parse_stroke(std::string_view text) {
  std::vector<double> numbers;
  for (std::string_view word : split(text.substr(2), ' ')) {
    const std::optional<double> number = parse_double(word);
    QB_EXPECTS(number.has_value());
    numbers.push_back(*number);
  }
  return text[0] == 'A' ? arc(numbers) : polyline(numbers);
}

std::vector<GlyphShape> parse_drawings() {
  std::vector<GlyphShape> shapes;
  for (std::size_t i = 0; i < kDrawings.size(); ++i) {
    const bool again = i > 0 && kDrawings[i].name == kDrawings[i - 1].name;
    const std::int64_t glyph = shapes.empty() ? 0 : shapes.back().glyph + (again ? 0 : 1);
    shapes.push_back({glyph, {}});
    for (std::string_view stroke : split(kDrawings[i].strokes, ';'))
      shapes.back().strokes.push_back(parse_stroke(stroke));
  }
  QB_EXPECTS(shapes.back().glyph == kGlyphCount - 1);
  return shapes;
}

}  // namespace

const std::vector<GlyphShape>& glyph_shapes() {
  static const std::vector<GlyphShape> shapes = parse_drawings();
  return shapes;
}

char glyph_name(std::int64_t index) {
  const std::vector<GlyphShape>& shapes = glyph_shapes();
  for (std::size_t i = 0; i < shapes.size(); ++i)
    if (shapes[i].glyph == index) return kDrawings[i].name;
  QB_EXPECTS(!"a class of the glyphs");
  return '\0';
}

}  // namespace qb
