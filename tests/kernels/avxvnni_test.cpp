// The AVX-VNNI kernels on a host without AVX-VNNI: the same templates, compiled for the EVEX encoding of vpdpbusd. What
// this cannot show is that the VEX encoding runs; tests over the table do where it exists.
#include <doctest/doctest.h>

#include "kernels/gemm_s8_int/prepare.h"
#include "kernels/gemm_s8_q8/prepare.h"
#include "tests/kernels/conv_case.h"
#include "tests/kernels/evex_kernels.h"
#include "tests/kernels/gemm_case.h"

namespace qb {

namespace {

constexpr Isa kNeeds = Isa::avx2 | Isa::avx512 | Isa::avx512vnni;

KernelInfo evex_kernel(std::string_view avxvnni, GemmFn run) {
  KernelInfo kernel = *find_kernel(avxvnni);
  kernel.run = run;
  kernel.needs = kNeeds;
  return kernel;
}

bool may_run() {
  if (includes(detected_isa(), Isa::avxvnni)) MESSAGE("this host also has AVX-VNNI itself");
  if (includes(host_isa(), kNeeds)) return true;
  MESSAGE("not run: this host, or its cap, lacks AVX-512 VNNI");
  return false;
}

void check(const KernelInfo& kernel, const std::vector<std::string>& formats) {
  for (const std::string& text : formats) {
    const QuantFormat format = parse_quant_format(text);
    REQUIRE(kernel.accepts(format, 64));
    const std::int64_t group = format.group > 0 ? format.group : 16;
    for (const std::int64_t k : {std::int64_t(1), group - 1, group + 1, 3 * group + 7, std::int64_t(515)})
      for (const std::int64_t m : {1, 2, 7, 65})
        for (const Fill fill : {Fill::random, Fill::opposed, Fill::highest})
          for (const RowScaling& scaling : scalings_for(kernel, format)) {
            INFO(text, " m=", m, " k=", k, " fill=", int(fill), " zero=", scaling.zero);
            const GemmCase c = gemm_case(format, m, 19, k, /*seed=*/std::uint64_t(m + k), fill);
            CHECK(disagreement(c, product(kernel, c, scaling), product(reference_of(kernel), c, scaling), 0.0) == "");
          }
  }
}

}  // namespace

TEST_CASE("the source of gemm_s8_int_avxvnni, EVEX-encoded, agrees with the reference") {
  if (!may_run()) return;
  check(evex_kernel("gemm_s8_int_avxvnni", gemm_s8_int_evex),
        {"q8g32.e8m0", "q8co", "q7g48", "q6g16.i8", "q5g32o.i6", "q4c", "q4g32z", "q4g32.f16", "q3g48z", "q2g16o.i4",
         "q1g256", "binaryg48", "ternaryc", "tritg256.f16", "iq4nlg32.f16", "e2m1g16.e4m3", "e2m3g16"});
}

TEST_CASE("the source of gemm_s8_q8_avxvnni, EVEX-encoded, agrees with the reference") {
  if (!may_run()) return;
  check(evex_kernel("gemm_s8_q8_avxvnni", gemm_s8_q8_evex), {"q8c", "q8cz", "q5cz", "q3t"});
}

TEST_CASE("the source of window_products_avxvnni, EVEX-encoded, gives the bits of windows that are gathered") {
  if (!may_run()) return;
  const KernelInfo kernel = evex_kernel("gemm_s8_q8_avxvnni", gemm_s8_q8_evex);
  for (const CodesCase& one : codes_cases()) {
    if (one.shape.in_channels / one.shape.groups % 4 != 0) continue;
    const CodesWays ways(one, kernel);
    INFO(one.shape.window.in[0], " x ", one.shape.window.in[1], ", ", one.shape.in_channels, " channels");
    const std::vector<float> gathered = ways.run(ways.plan(1, false), 1);
    for (const int threads : {1, 3}) {
      ConvPlan plan = ways.plan(threads, true);
      REQUIRE((plan.in_place.products == window_products_avxvnni));
      plan.in_place.products = window_products_evex;
      CHECK(ways.run(plan, threads) == gathered);
    }
  }
}

}  // namespace qb
