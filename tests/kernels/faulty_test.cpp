#include <doctest/doctest.h>

#include "kernels/base/cpu.h"
#include "tests/kernels/gemm_case.h"

namespace qb {

TEST_CASE("faulty kernels are in the table, are found wrong, and are chosen only by name") {
  for (const char* name : {"gemm_f32_f32_faulty", "gemm_s8_q8_faulty"}) {
    const KernelInfo* faulty = find_kernel(name);
    REQUIRE(faulty != nullptr);
    const QuantFormat format = parse_quant_format(faulty->activations == Activations::f32 ? "f32" : "q8c");
    const GemmCase c = gemm_case(format, 3, 5, 40, /*seed=*/1);
    const RowScaling scaling = scalings_for(faulty->activations).front();
    const std::vector<float> right = product(reference_of(*faulty), c, scaling), wrong = product(*faulty, c, scaling);
    CHECK(disagreement(c, wrong, right, rounding_bound(*faulty, c.w)) != "");
    CHECK(std::equal(wrong.begin() + 1, wrong.end(), right.begin() + 1));
    CHECK(choose_kernel(name, faulty->activations, format, 40, 3, host_isa()) == faulty);
    CHECK(choose_kernel("best", faulty->activations, format, 40, 3, Isa::none) == &reference_of(*faulty));
    CHECK(choose_kernel("best", faulty->activations, format, 40, 3, host_isa()) != faulty);
  }
}

}  // namespace qb
