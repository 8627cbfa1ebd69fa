// Operands that end where readable memory ends: a kernel that reads or writes one element too far dies here.
#include <doctest/doctest.h>

#include <algorithm>

#include "kernels/base/cpu.h"
#include "tests/kernels/gemm_case.h"
#include "tests/kernels/guarded_floats.h"

namespace qb {

TEST_CASE("no kernel reads behind the activations or writes behind the results") {
  for (const KernelInfo& kernel : kernels()) {
    if (kernel.operation != Operation::product || !includes(host_isa(), kernel.needs)) continue;
    for (const char* text : {"f32", "q8c", "binaryc", "binaryg64", "q4g32", "q4g16z", "q4c"}) {
      const QuantFormat format = parse_quant_format(text);
      if (!kernel.accepts(format, 64)) continue;
      for (const std::int64_t m : {1, 5})
        for (const std::int64_t n : {std::int64_t(1), std::int64_t(7), kernel.column_step + 3})
          for (const std::int64_t k : {1, 17, 64, 65}) {
            INFO(kernel.name, " ", text, " m=", m, " n=", n, " k=", k);
            const GemmCase c = gemm_case(format, m, n, k, /*seed=*/2);
            RowScaling scaling = scalings_for(kernel.activations).front();
            if (takes_activation_group(kernel, format, 32)) scaling.group = 32;
            GuardedFloats a(c.a.size()), y(std::size_t(m * n));
            std::copy(c.a.begin(), c.a.end(), a.values().begin());
            GemmScratch scratch;
            gemm(prepare(kernel, c.w), {m, a.values().data(), k, scaling, y.values().data(), n, 1}, scratch);
            CHECK(std::ranges::equal(y.values(), product(kernel, c, scaling)));
          }
    }
  }
}

}  // namespace qb
