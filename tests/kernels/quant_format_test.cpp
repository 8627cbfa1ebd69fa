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
  for (const char* text :
       {"bf16",         "q4g32.f16",    "q4g32o.f16",   "q4g32o.i6",       "q6g16.i8",     "q2g16o.i4",
        "q8g32.e8m0",   "q4co",         "binaryc",      "ternaryg256.f16", "tritg256.f16", "ternaryt",
        "e2m1g32.e8m0", "e2m1g16.e4m3", "e2m3g32.e8m0", "e3m2g32.e8m0",    "e4m3c",        "e4m3t",
        "e5m2g32.e8m0", "nf4g64",       "af4g64",       "iq4nlg32.f16",    "iq4nlg32.i6",  "pot3c",
        "pot5g32.e8m0", "apot4g64",     "apot7t",       "nf4g64.dq8",      "q4c.dq8",      "t4g128o",
        "t4g32o.f16"}) {
    INFO(text);
    CHECK(to_text(parse_quant_format(text)) == text);
    CHECK(fault_of(parse_quant_format(text)) == "");
  }
  CHECK(to_text({CodeKind::integer, 3, Sharing::group, 64, true}) == "q3g64z");
  CHECK(to_text({CodeKind::table, 4, Sharing::channel, 0, false}) == "t4c");
}

TEST_CASE("a text that is no format is refused in words") {
  for (const char* text : {"",
                           "q",
                           "q4",
                           "q0c",
                           "q9c",
                           "q04c",
                           "q-4c",
                           "q4x",
                           "q4g",
                           "q4g0",
                           "q4g032",
                           "q4gx",
                           "q4czz",
                           "q4c ",
                           " q4c",
                           "t4cz",
                           "t4co",
                           "t4g32z",
                           "nf4g32o",
                           "f16",
                           "f32z",
                           "q4g9999999999",
                           "4c",
                           "Q4C",
                           "q99999999999c",
                           "bf16c",
                           "nf4",
                           "nf4z",
                           "nf4cz",
                           "nf4co",
                           "nf5c",
                           "q4czo",
                           "q4coz",
                           "q4c.f32",
                           "q4c.",
                           "q4c.i6",
                           "q4g24.i6",
                           "q4c.e4m3",
                           "q4g32o.e4m3",
                           "q4g32o.e8m0",
                           "t4c.f16",
                           "e2m1g32.e8m1"}) {
    INFO("text '", text, "'");
    CHECK_THROWS_AS(parse_quant_format(text), DataError);
  }
  std::string message;
  try {
    parse_quant_format("q9c");
  } catch (const DataError& error) {
    message = error.what();
  }
  CHECK(message.starts_with("weight format 'q9c': 9 bits are too many; formats are f32, bf16, or a kind"));
}

TEST_CASE("a format put together by hand is told its fault") {
  QuantFormat format = parse_quant_format("e2m1g32");
  format.bits = 3;
  CHECK(fault_of(format) == "these levels have other bits");
  format = {};
  format.zeros = true;
  CHECK(fault_of(format) != "");
  format = parse_quant_format("q4g32");
  format.levels = LevelSet::nf4;
  CHECK(fault_of(format) != "");
}

TEST_CASE("five trits take a byte, supers stand for 256 weights") {
  CHECK(code_bytes_per_row(parse_quant_format("tritc"), 11) == 3);
  CHECK(code_bytes_per_row(parse_quant_format("ternaryc"), 11) == 3);
  CHECK(code_bytes_per_row(parse_quant_format("q6c"), 11) == 9);
  CHECK(supers_per_row(parse_quant_format("q6g16.i8"), 257) == 2);
  CHECK(supers_per_row(parse_quant_format("q6g16.f16"), 257) == 0);
}

TEST_CASE("the last group of a row may be shorter") {
  const QuantFormat format = parse_quant_format("q4g32");
  CHECK(groups_per_row(format, 1) == 1);
  CHECK(groups_per_row(format, 32) == 1);
  CHECK(groups_per_row(format, 33) == 2);
  CHECK(groups_per_row(parse_quant_format("q4c"), 33) == 1);
}

}  // namespace qb
