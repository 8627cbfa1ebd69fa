#include "kernels/peaks.h"

#include <doctest/doctest.h>

#include <cmath>

#include "kernels/base/cpu.h"

namespace qb {

TEST_CASE("peaks are positive, and bf16 is a number only where the processor has it") {
  const Peaks peaks = measure_peaks(/*threads=*/2, /*budget_s=*/0.1);
  CHECK(peaks.threads == 2);
  for (const double rate : {peaks.read_bytes_per_s, peaks.f32_ops_per_s, peaks.s8_ops_per_s}) {
    CHECK(std::isfinite(rate));
    CHECK(rate > 0);
  }
  CHECK(std::isfinite(peaks.bf16_ops_per_s) == includes(host_isa(), Isa::avx512bf16));
}

}  // namespace qb
