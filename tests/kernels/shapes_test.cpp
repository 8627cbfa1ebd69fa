#include "kernels/bench/shapes.h"

#include <doctest/doctest.h>

#include "kernels/base/error.h"

namespace qb {

TEST_CASE("shape files hold m, n, k and a comment per line") {
  const std::vector<LayerShape> shapes = parse_shapes("# a net\n\n1 10 64   # last layer\n  2 3   4\n5 6 7#", "x.txt");
  CHECK(shapes == std::vector<LayerShape>{{1, 10, 64, "last layer"}, {2, 3, 4}, {5, 6, 7}});
}

TEST_CASE("a depthwise convolution is given by its planes") {
  const auto shapes =
      parse_shapes("depthwise c=64 h=25 w=5 k=3 s=2 # small\ndepthwise n=2 c=3 h=8 w=9 k=5 p=0", "x.txt");
  REQUIRE(shapes.size() == 2);
  CHECK(shapes[0].planes == Planes{1, 64, 25, 5, 3, 2, 1, 64});
  CHECK(shapes[0].m == 13 * 3);
  CHECK(shapes[0].n == 64);
  CHECK(shapes[0].k == 9);
  CHECK(shapes[0].comment == "small");
  CHECK(to_text(shapes[0]) == "64 x 25 x 5, 3 x 3 / 2");
  CHECK(shapes[1].m == 2 * 4 * 5);
  const auto fault = [](const char* text) {
    try {
      parse_shapes(text, "x");
    } catch (const DataError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(fault("depthwise c=64 h=5 w=5") == "x line 1: 'k=' is missing");
  CHECK(fault("depthwise c=64 h=5 w=5 k=3 k=3") == "x line 1: 'k=' stands twice");
  CHECK(fault("depthwise c=64 h=5 w=5 k=3 q=3").starts_with("x line 1: 'q=3' is not known; "));
  CHECK(fault("depthwise c=64 h=5 w=5 k=9 p=1") ==
        "x line 1: a kernel of 9 x 9 does not fit into 5 x 5 with 1 zeros around");
  CHECK(fault("depthwise c=1000000 h=1000000 w=1000000 k=1").ends_with("more than 2^31 values"));
}

TEST_CASE("a convolution has results of its own number") {
  const auto shapes = parse_shapes("convolution c=8 h=5 w=6 k=3 o=12\nconvolution c=8 h=5 w=6 k=1", "x.txt");
  REQUIRE(shapes.size() == 2);
  CHECK(shapes[0].m == 30);
  CHECK(shapes[0].n == 12);
  CHECK(shapes[0].k == 72);
  CHECK(to_text(shapes[0]) == "8 x 5 x 6 to 12, 3 x 3");
  CHECK(to_text(shapes[1]) == "8 x 5 x 6, 1 x 1");
  CHECK_THROWS_WITH_AS(parse_shapes("depthwise c=8 h=5 w=6 k=3 o=12", "x"), doctest::Contains("'o=12' is not known"),
                       DataError);
}

TEST_CASE("rows have a number and a length") {
  const auto shapes = parse_shapes("rows m=512 k=100", "x.txt");
  REQUIRE(shapes.size() == 1);
  CHECK(shapes[0].work == Work::rows);
  CHECK(shapes[0].m == 512);
  CHECK(shapes[0].k == 100);
  CHECK(to_text(shapes[0]) == "512 x 100");
  CHECK_THROWS_WITH_AS(parse_shapes("rows m=512", "x"), "x line 1: 'k=' is missing", DataError);
}

TEST_CASE("attention has queries, keys and heads") {
  const auto shapes = parse_shapes(
      "attention queries=4 keys=9 heads=6 kv=2 size=5 causal=1\n"
      "attention queries=4 keys=9 heads=6 size=5",
      "x.txt");
  REQUIRE(shapes.size() == 2);
  CHECK(shapes[0].work == Work::attention);
  CHECK(shapes[0].heads == Heads{4, 9, 6, 2, 5, true});
  CHECK(shapes[0].heads.seen() == 6 + 7 + 8 + 9);
  CHECK(to_text(shapes[0]) == "4 x 9, 6 on 2 heads of 5, causal");
  CHECK(shapes[1].heads.seen() == 36);
  CHECK(to_text(shapes[1]) == "4 x 9, 6 heads of 5");
  CHECK_THROWS_WITH_AS(parse_shapes("attention queries=4 keys=9 heads=6 kv=4 size=5", "x"),
                       "x line 1: 6 heads cannot share 4; kv= divides heads=", DataError);
  CHECK_THROWS_WITH_AS(parse_shapes("attention queries=4 keys=3 heads=1 size=5 causal=1", "x"),
                       "x line 1: causal queries are among the keys; keys= is too small", DataError);
  CHECK_THROWS_WITH_AS(parse_shapes("attention queries=4 keys=4 heads=1 size=5 causal=2", "x"),
                       "x line 1: causal= is 0 or 1", DataError);
  CHECK_THROWS_AS(parse_shapes("attention queries=4 keys=4 heads=1", "x"), DataError);
  CHECK_THROWS_AS(parse_shapes("attention queries=1 keys=1000000 heads=1000 size=128", "x"), DataError);
}

TEST_CASE("a line that is no shape is refused with its number") {
  CHECK_THROWS_WITH_AS(parse_shapes("1 2 3\n1 2", "x.txt"), "x.txt line 2: 2 numbers; a shape is 'm n k # comment'",
                       DataError);
  CHECK_THROWS_WITH_AS(parse_shapes("1 0 3", "x.txt"), "x.txt line 1: '0' is no size; sizes are 1 to 1000000",
                       DataError);
  for (const char* text : {"1 2 3 4", "a b c", "1 2 -3", "1 2 3.5", "1000001 1 1", "1 1000000 1000000"})
    CHECK_THROWS_AS(parse_shapes(text, "x.txt"), DataError);
  CHECK_THROWS_AS(shape_files("no/such/folder"), InputError);
}

TEST_CASE("every shipped shape file reads") {
  const auto folder = std::filesystem::path(QB_SOURCE_ROOT) / "configs" / "shapes";
  CHECK(shape_files(folder).size() >= 5);
  for (const auto& file : shape_files(folder)) CHECK(!read_shapes(file).empty());
}

}  // namespace qb
