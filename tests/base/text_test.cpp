#include "kernels/base/text.h"

#include <doctest/doctest.h>

#include <limits>

using namespace qb;

TEST_CASE("split keeps empty parts") {
  CHECK(split("a,,b", ',') == std::vector<std::string_view>{"a", "", "b"});
  CHECK(split("", ',') == std::vector<std::string_view>{""});
  CHECK(trimmed(" \ta b\n") == "a b");
  CHECK(trimmed("  ").empty());
}

TEST_CASE("numbers are read whole or not at all") {
  CHECK(parse_int("-12") == -12);
  for (const char* bad : {"", "+1", " 1", "1 ", "1x", "0x10", "9223372036854775808"}) CHECK_FALSE(parse_int(bad));
  CHECK(parse_double("2.5e-3") == 2.5e-3);
  for (const char* bad : {"", "nan", "inf", "1e999", "1,5", "1.5 "}) CHECK_FALSE(parse_double(bad));
}

TEST_CASE("the nearest name is offered only when it is near") {
  CHECK(nearest_name("kmaens", {"rtn", "kmeans", "entropy"}) == "kmeans");
  CHECK(nearest_name("quantizer", {"quantizers", "models"}) == "quantizers");
  CHECK(nearest_name("completely-else", {"rtn", "kmeans"}).empty());
  CHECK(suggestion("zzzzzz", {"a1", "b2", "c3"}) == "; known are a1, b2 and c3");
  CHECK(suggestion("rtm", {"rtn", "kmeans"}) == "; did you mean 'rtn'?");
  CHECK(suggestion("x", {}).empty());
}

TEST_CASE("UTF-8 is checked strictly") {
  CHECK(valid_utf8("aäß€😀"));
  for (const char* bad : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"})
    CHECK_FALSE(valid_utf8(bad));
}

TEST_CASE("sizes and times keep three digits") {
  CHECK(bytes_text(0) == "0 B");
  CHECK(bytes_text(1023) == "1023 B");
  CHECK(bytes_text(1024) == "1.00 KiB");
  CHECK(bytes_text(1536.0 * 1024) == "1.50 MiB");
  CHECK(duration_text(999) == "999 ns");
  CHECK(duration_text(1000) == "1.00 us");
  CHECK(duration_text(350'000) == "350 us");
  CHECK(duration_text(2.5e9) == "2.50 s");
  CHECK(duration_text(std::numeric_limits<double>::quiet_NaN()) == "-");
}
