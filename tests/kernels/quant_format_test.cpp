#include "kernels/quant_format.h"

#include <doctest/doctest.h>

#include "kernels/base/error.h"

namespace qb {

TEST_CASE("the text of a format reads back equal, for every format") {
  int count = 0;
  const auto check = [&](const QuantFormat& format) {
    CHECK(parse_quant_format(to_text(format)) == format);
    ++count;
  };
  check({});
  for (int bits = 1; bits <= 8; ++bits)
    for (const auto& [sharing, group] : {std::pair{Sharing::tensor, 0},
                                         {Sharing::channel, 0},
                                         {Sharing::group, 1},
                                         {Sharing::group, 32},
                                         {Sharing::group, 100}}) {
      check({CodeKind::integer, bits, sharing, group, false});
      check({CodeKind::integer, bits, sharing, group, true});
      check({CodeKind::table, bits, sharing, group, false});
    }
  CHECK(count == 1 + 8 * 5 * 3);
  CHECK(to_text({CodeKind::integer, 3, Sharing::group, 64, true}) == "q3g64z");
  CHECK(to_text({CodeKind::table, 4, Sharing::channel, 0, false}) == "t4c");
}

TEST_CASE("a text that is no format is refused in words") {
  for (const char* text :
       {"",     "q",     "q4",   "q0c",  "q9c",  "q04c", "q-4c", "q4x",           "q4g", "q4g0", "q4g032",
        "q4gx", "q4czz", "q4c ", " q4c", "t4cz", "f16",  "f32z", "q4g9999999999", "4c",  "Q4C",  "q99999999999c"}) {
    INFO("text '", text, "'");
    CHECK_THROWS_AS(parse_quant_format(text), DataError);
  }
  CHECK_THROWS_WITH(
      parse_quant_format("q9c"),
      "weight format 'q9c': 9 bits are too many; formats are f32, or q or t, 1 to 8 bits, t, c or g<size>, "
      "and for q an optional z, as in q4g32z");
}

TEST_CASE("the last group of a row may be shorter") {
  const QuantFormat format = parse_quant_format("q4g32");
  CHECK(groups_per_row(format, 1) == 1);
  CHECK(groups_per_row(format, 32) == 1);
  CHECK(groups_per_row(format, 33) == 2);
  CHECK(groups_per_row(parse_quant_format("q4c"), 33) == 1);
}

}  // namespace qb
