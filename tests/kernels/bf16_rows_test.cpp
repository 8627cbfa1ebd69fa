#include "kernels/bf16_rows/bf16_rows.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <vector>

#include "kernels/base/cpu.h"
#include "kernels/base/small_floats.h"

namespace qb {

namespace {

struct Variant {
  const char* name;
  Isa needs;
  Bf16RowFn convert;
};

const std::vector<Variant> kVariants = {
    {"ref", Isa::none, bf16_row_ref},
#if defined(__x86_64__)
    {"avx2", Isa::avx2, bf16_row_avx2},
    {"avx512", Isa::avx512, bf16_row_avx512},
#elif defined(__aarch64__)
    {"neon", Isa::neon, bf16_row_neon},
#endif
};

}  // namespace

TEST_CASE("every upper half of a float32 is rounded alike, with lower halves around the tie") {
  std::vector<float> x;
  std::vector<std::uint16_t> expected;
  for (std::uint32_t upper = 0; upper < 0x10000; ++upper)
    for (const std::uint32_t lower : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      x.push_back(std::bit_cast<float>(upper << 16 | lower));
      expected.push_back(bf16_from_f32(x.back()));
    }
  for (const Variant& variant : kVariants) {
    if (!includes(host_isa(), variant.needs)) continue;
    INFO(variant.name);
    std::vector<std::uint16_t> out(x.size());
    variant.convert({x.data(), out.data(), std::int64_t(x.size()), std::int64_t(x.size())});
    CHECK(out == expected);
  }
}

TEST_CASE("rows of every length are padded with zeros, and nothing is written behind them") {
  const std::vector<float> x(80, 1.0f);
  for (const Variant& variant : kVariants) {
    if (!includes(host_isa(), variant.needs)) continue;
    for (std::size_t k = 0; k <= 80; ++k)
      for (const std::size_t padded : {k, k + 3, (k + 63) / 64 * 64}) {
        INFO(variant.name, " k=", k, " padded=", padded);
        std::vector<std::uint16_t> out(padded + 1, 7), expected(padded + 1, 0);
        std::fill_n(expected.begin(), k, std::uint16_t(0x3f80));
        expected.back() = 7;
        variant.convert({x.data(), out.data(), std::int64_t(k), std::int64_t(padded)});
        CHECK(out == expected);
      }
  }
}

}  // namespace qb
