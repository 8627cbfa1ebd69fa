#include "kernels/bench/shapes.h"

#include <doctest/doctest.h>

#include "kernels/base/error.h"

namespace qb {

TEST_CASE("shape files hold m, n, k and a comment per line") {
  const std::vector<LayerShape> shapes = parse_shapes("# a net\n\n1 10 64   # last layer\n  2 3   4\n5 6 7#", "x.txt");
  CHECK(shapes == std::vector<LayerShape>{{1, 10, 64, "last layer"}, {2, 3, 4, ""}, {5, 6, 7, ""}});
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
