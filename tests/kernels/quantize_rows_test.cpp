#include "kernels/quantize_rows/quantize_rows.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "kernels/base/cpu.h"
#include "kernels/base/random.h"

namespace qb {

namespace {

struct Variant {
  const char* name;
  Isa needs;
  QuantizeRowFn quantize;
  AbsoluteMaximumFn absolute_maximum;
  SumGroupsFn sum_groups;
  QuantizeGroupsFn quantize_groups;
};

const std::vector<Variant> kVariants = {
    {"ref", Isa::none, quantize_row_ref, absolute_maximum_ref, sum_groups_ref, quantize_groups_ref},
#if defined(__x86_64__)
    {"avx2", Isa::avx2, quantize_row_avx2, absolute_maximum_avx2, sum_groups_avx2, quantize_groups_avx2},
    {"avx512", Isa::avx512, quantize_row_avx512, absolute_maximum_avx512, sum_groups_avx512, quantize_groups_avx512},
#elif defined(__aarch64__)
    {"neon", Isa::neon, quantize_row_neon, absolute_maximum_neon, sum_groups_neon, quantize_groups_neon},
#endif
};

std::vector<int> codes_of(const Variant& variant, const std::vector<float>& x, float scale, int zero, int low,
                          int high) {
  std::vector<std::int8_t> codes((x.size() + 63) / 64 * 64, 99);
  variant.quantize(
      {x.data(), codes.data(), std::int64_t(x.size()), std::int64_t(codes.size()), scale, zero, low, high});
  for (std::size_t t = x.size(); t < codes.size(); ++t) CHECK(codes[t] == zero);
  return {codes.begin(), codes.begin() + std::ptrdiff_t(x.size())};
}

template <class Body>
void for_each_variant(const Body& body) {
  for (const Variant& variant : kVariants) {
    INFO(variant.name);
    if (includes(host_isa(), variant.needs)) body(variant);
  }
}

/// Codes, padding included, and the scales as they are written.
std::pair<std::vector<std::int8_t>, std::vector<float>> groups_of(const Variant& variant, const std::vector<float>& x,
                                                                  std::int64_t group, std::int64_t shared, int high) {
  const auto k = std::int64_t(x.size());
  std::vector<std::int8_t> codes((x.size() + 63) / 64 * 64, 99);
  std::vector<float> scale(std::size_t((k + shared - 1) / shared), -1.0f);
  variant.quantize_groups({x.data(), codes.data(), k, std::int64_t(codes.size()), group, high, shared, scale.data()});
  return {codes, scale};
}

}  // namespace

TEST_CASE("groups have the codes and scales of rows of their own, and zeros behind them") {
  for_each_variant([](const Variant& variant) {
    for (const std::size_t length : {1, 31, 32, 33, 64, 65, 100, 127, 129, 260, 1000})
      for (const std::int64_t group : {32, 64, 256})
        for (const std::int64_t shared : {std::int64_t(16), group}) {
          INFO("length=", length, " group=", group, " shared=", shared);
          Random random(length);
          std::vector<float> x(length);
          for (std::size_t t = 0; t < length; ++t)
            x[t] = t / std::size_t(group) % 3 == 1 ? 0.0f : std::ldexp(float(random.uniform(-1, 1)), int(t % 97) - 60);
          const auto [codes, scale] = groups_of(variant, x, group, shared, 127);
          for (std::int64_t begin = 0; begin < std::int64_t(length); begin += group) {
            const std::size_t end = std::min(length, std::size_t(begin + group));
            const std::vector<float> part(x.begin() + begin, x.begin() + std::ptrdiff_t(end));
            const float largest = absolute_maximum_ref(part.data(), std::int64_t(part.size()));
            const float wanted = largest == 0 ? 1.0f : largest / 127.0f;
            for (std::int64_t t = begin; t < std::int64_t(end); t += shared)
              CHECK(scale[std::size_t(t / shared)] == wanted);
            CHECK(std::vector<int>(codes.begin() + begin, codes.begin() + std::ptrdiff_t(end)) ==
                  codes_of(kVariants[0], part, wanted, 0, -127, 127));
          }
          CHECK(std::all_of(codes.begin() + std::ptrdiff_t(length), codes.end(), [](int code) { return code == 0; }));
        }
  });
}

TEST_CASE("groups whose maximum is too small or too large to divide by have scale 1") {
  for_each_variant([](const Variant& variant) {
    std::vector<float> x(96, 0.0f);
    x[3] = 1e-45f;  // divided by 127: 0
    x[40] = INFINITY;
    x[70] = -0.5f;
    const auto [codes, scale] = groups_of(variant, x, 32, 32, 127);
    CHECK(scale == std::vector<float>{1.0f, 1.0f, 0.5f / 127.0f});
    CHECK(codes[3] == 0);
    CHECK(codes[40] == 127);
    CHECK(codes[70] == -127);
  });
}

TEST_CASE("codes are rounded to nearest even, moved by the zero point, then saturated") {
  // ONNX's own examples of QuantizeLinear (test_quantizelinear, x / 2 + 128 on uint8) shifted to int8: 0, 1, 1.5, 500,
  // -500, -499
  for_each_variant([](const Variant& variant) {
    CHECK(codes_of(variant, {0, 2, 3, 1000, -254, -1000}, 2.0f, 0, -128, 127) ==
          std::vector<int>{0, 1, 2, 127, -127, -128});
    CHECK(codes_of(variant, {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f}, 1.0f, 0, -127, 127) ==
          std::vector<int>{0, 2, 2, 0, -2, -2});
    CHECK(codes_of(variant, {0.5f, 1.5f, -0.5f}, 1.0f, 1, -128, 127) == std::vector<int>{1, 3, 1});
    CHECK(codes_of(variant, {9, -9}, 1.0f, 7, -8, 7) == std::vector<int>{7, -2});
    CHECK(codes_of(variant, {3e38f, -3e38f, INFINITY, -INFINITY}, 1e-3f, -128, -128, 127) ==
          std::vector<int>{127, -128, 127, -128});
  });
}

TEST_CASE("values at and beside ties are rounded as their quotients are, whatever the scale") {
  for (const float scale : {0.1f, 1.0f / 3.0f, 0.0078431377f, 0x1p-7f, 3.0f, 1e-30f, 1e30f, 1e-38f, 0x1p-140f, 3e38f}) {
    std::vector<float> x;
    for (int code = -300; code <= 300; ++code) {
      const float tie = (float(code) + 0.5f) * scale;
      for (const float value : {tie, std::nextafter(tie, 0.0f), std::nextafter(tie, 1e30f), float(code) * scale})
        x.push_back(value);
    }
    for (const int zero : {0, -128, 37}) {
      const std::vector<int> right = codes_of(kVariants[0], x, scale, zero, -128, 127);
      for_each_variant([&](const Variant& variant) { CHECK(codes_of(variant, x, scale, zero, -128, 127) == right); });
    }
  }
}

TEST_CASE("all variants give the same codes and maxima at every length, whatever the values") {
  for_each_variant([](const Variant& variant) {
    for (const std::size_t length : {1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 1000}) {
      Random random(length);
      std::vector<float> x(length);
      for (float& value : x) value = float(random.uniform(-3, 3)) * (random.below(4) == 0 ? 1000.0f : 1.0f);
      CHECK(codes_of(variant, x, 0.037f, -5, -128, 127) == codes_of(kVariants[0], x, 0.037f, -5, -128, 127));
      CHECK(variant.absolute_maximum(x.data(), std::int64_t(length)) ==
            absolute_maximum_ref(x.data(), std::int64_t(length)));
      x[length / 2] = NAN;
      CHECK(codes_of(variant, x, 0.037f, 0, -127, 127) == codes_of(kVariants[0], x, 0.037f, 0, -127, 127));
    }
  });
}

TEST_CASE("all variants give the exact sums of groups, the last of which may be shorter") {
  for_each_variant([](const Variant& variant) {
    for (const std::int64_t k : {1, 16, 31, 64, 100, 1000})
      for (const std::int64_t group : {1, 16, 32, 48, 1000}) {
        Random random(std::uint64_t(k * group));
        std::vector<std::int8_t> codes(std::size_t(k), -128);
        if (group != 48)
          for (std::int8_t& code : codes) code = std::int8_t(int(random.below(256)) - 128);
        std::vector<std::int32_t> sums(std::size_t((k + group - 1) / group), -1), expected(sums.size(), 0);
        for (std::int64_t t = 0; t < k; ++t) expected[std::size_t(t / group)] += codes[std::size_t(t)] - 37;
        variant.sum_groups({codes.data(), k, group, 37, sums.data()});
        CHECK(sums == expected);
      }
  });
}

}  // namespace qb
