// What the tests over the table do not reach: a product by hand, and rows deeper than narrow counts can hold.
#include <doctest/doctest.h>

#include "kernels/base/cpu.h"
#include "tests/kernels/gemm_case.h"

namespace qb {

namespace {

template <class Body>
void for_each_variant(const Body& body) {
  for (const KernelInfo& kernel : kernels()) {
    INFO(kernel.name);
    if (kernel.family == "gemm_binary_binary" && includes(host_isa(), kernel.needs)) body(kernel);
  }
}

}  // namespace

TEST_CASE("a product of signs by hand") {
  UnpackedMatrix w;
  w.format = parse_quant_format("binaryc");
  w.n = 2;
  w.k = 3;
  w.codes = {1, 1, 0, 1, 0, 1};  // +1 +1 -1, and +1 -1 +1
  w.scales = {0.5f, 4.0f};
  const GemmCase c{1, pack(w), {1.0f, -2.0f, 3.0f}};  // signs +1 -1 +1, mean magnitude 2
  for_each_variant([&](const KernelInfo& kernel) {
    CHECK(product(kernel, c, {}) == std::vector<float>{2.0f * (-1 * 0.5f), 2.0f * (3 * 4.0f)});
  });
}

TEST_CASE("rows of 70,001 signs are counted exactly") {
  const std::int64_t k = 70'001;  // more than counts of 16 bits hold
  for (const Fill fill : {Fill::highest, Fill::opposed}) {
    const GemmCase c = gemm_case(parse_quant_format("binaryc"), 3, 33, k, /*seed=*/4, fill);
    for_each_variant([&](const KernelInfo& kernel) {
      const std::vector<float> y = product(kernel, c, {});
      for (std::int64_t i = 0; i < c.m; ++i)
        for (std::int64_t j = 0; j < c.w.n; ++j) {
          const float dot = fill == Fill::highest ? float(k) : -float(k);
          CHECK(y[std::size_t(i * c.w.n + j)] == 1000.0f * (dot * c.w.scales[std::size_t(j)]));
        }
    });
  }
}

}  // namespace qb
