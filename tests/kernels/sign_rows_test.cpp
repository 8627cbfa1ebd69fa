#include "kernels/sign_rows/sign_rows.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "kernels/base/cpu.h"
#include "kernels/base/random.h"

namespace qb {

namespace {

struct Variant {
  const char* name;
  Isa needs;
  SignRowFn sign_row;
};

const std::vector<Variant> kVariants = {
    {"ref", Isa::none, sign_row_ref},
#if defined(__x86_64__)
    {"avx2", Isa::avx2, sign_row_avx2},
    {"avx512", Isa::avx512, sign_row_avx512},
#elif defined(__aarch64__)
    {"neon", Isa::neon, sign_row_neon},
#endif
};

struct Signs {
  float magnitude;
  std::vector<std::uint64_t> bits;
  bool operator==(const Signs&) const = default;
};

/// What a variant makes of x, and nothing behind it: one word more than there is must stay as it was.
Signs signs_of(const Variant& variant, const std::vector<float>& x) {
  const std::size_t words = (x.size() + 63) / 64;
  Signs signs{0.0f, std::vector<std::uint64_t>(words + 1, ~std::uint64_t(0))};
  signs.magnitude = variant.sign_row(x.data(), std::int64_t(x.size()), signs.bits.data());
  CHECK(signs.bits.back() == ~std::uint64_t(0));
  signs.bits.pop_back();
  return signs;
}

template <class Body>
void for_each_variant(const Body& body) {
  for (const Variant& variant : kVariants) {
    INFO(variant.name);
    if (includes(host_isa(), variant.needs)) body(variant);
  }
}

}  // namespace

TEST_CASE("zeros of both signs count as positive, bits behind the row are 0, the magnitude is the mean") {
  for_each_variant([](const Variant& variant) {
    CHECK(signs_of(variant, {1.0f, -2.0f, 0.0f, -0.0f, -3.0f}) == Signs{1.2f, {0b01101}});
    CHECK(signs_of(variant, std::vector<float>(64, -0.25f)) == Signs{0.25f, {0}});
    CHECK(signs_of(variant, std::vector<float>(65, 3.0f)) == Signs{3.0f, {~std::uint64_t(0), 1}});
    const Signs with_nan = signs_of(variant, {NAN, 1.0f, INFINITY, -INFINITY});
    CHECK(with_nan.bits == std::vector<std::uint64_t>{0b0110});
    CHECK(std::isnan(with_nan.magnitude));
  });
}

TEST_CASE("every variant gives the reference's bits and magnitude at every length") {
  Random random(/*seed=*/17);
  for (std::size_t k = 1; k <= 300; ++k) {
    std::vector<float> x(k < 280 ? k : 17 * k);
    // Magnitudes over 40 binary orders: sums in another order would round differently.
    for (float& value : x) value = std::ldexp(float(random.uniform(-1, 1)), int(random.below(40)));
    const Signs expected = signs_of(kVariants.front(), x);
    for_each_variant([&](const Variant& variant) {
      INFO("k=", x.size());
      CHECK(signs_of(variant, x) == expected);
    });
  }
}

}  // namespace qb
