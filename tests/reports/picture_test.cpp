#include "reports/picture.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/text.h"
#include "reports/picture_layout.h"
#include "tests/reports/small_record.h"

namespace qb {
namespace {

std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

/// Elements nest, attribute values are quoted, and no bare '<', '>' or '&' stands in text. Style sheets are passed
/// over.
bool well_formed(std::string_view text) {
  std::vector<std::string> open;
  while (!text.empty()) {
    const std::size_t begin = std::min(text.find('<'), text.size());
    const std::string_view words = text.substr(0, begin);
    if (words.find('>') != std::string_view::npos) return false;
    for (std::size_t at = words.find('&'); at != std::string_view::npos; at = words.find('&', at + 1)) {
      const std::string_view rest = words.substr(at);
      if (!rest.starts_with("&amp;") && !rest.starts_with("&lt;") && !rest.starts_with("&gt;") &&
          !rest.starts_with("&quot;"))
        return false;
    }
    if (begin == text.size()) break;
    const std::size_t end = text.find('>', begin);
    if (end == std::string_view::npos) return false;
    std::string_view tag = text.substr(begin + 1, end - begin - 1);
    text.remove_prefix(end + 1);
    if (tag.starts_with('/')) {
      if (open.empty() || open.back() != tag.substr(1)) return false;
      open.pop_back();
      continue;
    }
    if (tag.find('<') != std::string_view::npos || count_of(tag, "\"") % 2 != 0) return false;
    if (count_of(tag, "=\"") * 2 != count_of(tag, "\"")) return false;
    if (!tag.ends_with('/')) open.emplace_back(tag.substr(0, tag.find(' ')));
  }
  return open.empty();
}

bool meet(const Box& a, const Box& b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

TEST_CASE("every measured unit is one mark with its label; others are only counted") {
  const RunRecord run = small_record();  // three of five units are ok: batch 1 float and rtn:w4, batch 8 rtn:w4
  const std::string picture = svg_picture(run);
  CHECK(well_formed(picture));
  CHECK(count_of(picture, "<circle") == 3);
  CHECK(count_of(picture, ">rtn:w4</text>") == 2);
  CHECK(count_of(picture, ">float</text>") == 1);
  CHECK(count_of(picture, "rtn:w2") == 0);
  CHECK(count_of(picture, ">tiny, best, batch 1</text>") == 1);
  CHECK(count_of(picture, ">tiny, best, batch 8</text>") == 1);
  CHECK(count_of(picture, ">2 units without numbers: see the table</text>") == 1);
  CHECK(picture == svg_picture(run));
}

TEST_CASE("combinations of which nothing was measured have no panel and are counted") {
  RunRecord run = small_record();
  run.plan[4].unit.combination.hardware = "elsewhere";
  const std::string picture = svg_picture(run);
  CHECK(count_of(picture, "elsewhere") == 0);
  CHECK(count_of(picture, ">1 unit without numbers: see the table</text>") == 1);
  CHECK(count_of(picture, ">not drawn: 1 unit without numbers: see the table</text>") == 1);
}

TEST_CASE("reference kernels are left out of the picture, several optimized ones are told apart") {
  RunRecord run = small_record();
  run.plan[0].unit.combination.kernel = "reference";
  CHECK(count_of(svg_picture(run), "<circle") == 2);
  run.plan[0].unit.combination.kernel = "gemm_s8_int4_avx2";
  CHECK(count_of(svg_picture(run), ">rtn:w4 gemm_s8_int4_avx2</text>") == 1);
  for (PlanRow& row : run.plan) row.unit.combination.kernel = "reference";
  CHECK(svg_picture(run).find("no unit with optimized kernels") != std::string::npos);
}

TEST_CASE("what other people wrote is text and nothing else") {
  RunRecord run = small_record();
  run.study_name = "a<script>alert(\"1\")</script> & more";
  run.plan[0].unit.combination.model = "m<>&\"'\n";
  const std::string picture = svg_picture(run);
  CHECK(well_formed(picture));
  CHECK(picture.find("<script") == std::string::npos);
  CHECK(picture.find("a&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; more") != std::string::npos);
  CHECK(picture.find("m&lt;&gt;&amp;&quot;' , best") != std::string::npos);
}

TEST_CASE("a language model's panel shows perplexity; an empty run is an empty picture") {
  RunRecord run = small_record();
  for (Measurement& m : run.measurements) m.task = "language";
  CHECK(svg_picture(run).find("perplexity (log, less is better)") != std::string::npos);
  CHECK(svg_picture(run).find("top-1") == std::string::npos);
  CHECK(well_formed(svg_picture(RunRecord{})));
  CHECK(count_of(svg_picture(RunRecord{}), "<circle") == 0);
}

TEST_CASE("a unit without an interval is a mark without whiskers") {
  RunRecord run = small_record();
  run.measurements[0].hot.warmup = 8;  // one block: a median and no interval
  const std::string picture = svg_picture(run);
  CHECK(count_of(picture, "<circle") == 3);
  CHECK(picture.find("nan") == std::string::npos);
}

TEST_CASE("a scale holds all its values, and its ticks lie on it") {
  for (const std::vector<double>& values :
       {std::vector<double>{0.09, 0.05}, {1e3, 5e6}, {42}, {0.25e-3, 1}, {7, 7.001}, {1e3, 3e4}, {}}) {
    const Scale scale = scale_over(values, 0.3);
    for (const double value : values) CHECK((scale.share(value) > 0 && scale.share(value) < 1));
    const std::vector<double> marks = ticks(scale);
    CHECK(marks.size() >= 3);
    CHECK(marks.size() <= 12);
    CHECK(std::is_sorted(marks.begin(), marks.end()));
    for (const double mark : marks) CHECK((scale.share(mark) >= -1e-9 && scale.share(mark) <= 1 + 1e-9));
  }
  CHECK(ticks({0, 2}) == std::vector<double>{1, 2, 3, 5, 10, 20, 30, 50, 100});
}

TEST_CASE("labels of crowded marks do not cover one another, other marks, or leave the frame") {
  const Box frame{0, 0, 330, 210};
  std::vector<Mark> marks;
  for (int i = 0; i < 8; ++i) {
    const double x = 150 + 6 * i, y = 40 + 3 * (i % 4);
    marks.push_back({x, y, {x - 4, y - 15, x + 4, y + 15}, 50});
  }
  const std::vector<LabelPlace> places = place_labels(marks, frame, 13);
  REQUIRE(places.size() == marks.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Box& box = places[i].box;
    CHECK((box.left >= 0 && box.top >= 0 && box.right <= frame.right && box.bottom <= frame.bottom));
    for (std::size_t j = 0; j < i; ++j) CHECK_FALSE(meet(box, places[j].box));
    for (const Mark& mark : marks) CHECK_FALSE(meet(box, {mark.x - 3, mark.y - 3, mark.x + 3, mark.y + 3}));
  }
}

}  // namespace
}  // namespace qb
