#include "kernels/base/small_floats.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "kernels/base/error.h"
#include "tests/golden_json.h"

using namespace qb;

namespace {

/// The file of a format below ../shared/golden/floats.
struct GoldenFile {
  const char* name;
  FloatFormat format;
  bool saturates;  ///< its third column is a saturating cast, not the second again
};
constexpr GoldenFile kFiles[] = {
    {"float8_e4m3fn", kE4M3FN, true},     {"float8_e5m2", kE5M2, true},     {"float8_e4m3fnuz", kE4M3FNUZ, true},
    {"float8_e5m2fnuz", kE5M2FNUZ, true}, {"float8_e3m4", kE3M4, true},     {"float6_e3m2fn", kE3M2FN, true},
    {"float6_e2m3fn", kE2M3FN, true},     {"float4_e2m1fn", kE2M1FN, true}, {"float8_e8m0fnu", kE8M0FNU, true},
    {"float16", kFloat16, false},         {"bfloat16", kBfloat16, false},
};

std::uint32_t word_of(const nlohmann::json& hex) {
  return std::uint32_t(std::stoul(hex.get<std::string>(), nullptr, 16));
}

}  // namespace

TEST_CASE("every code of every format survives the way through binary32") {
  CHECK(float_formats().size() == std::size(kFiles));
  for (const FloatFormat& format : float_formats())
    for (std::uint32_t code = 0; code < 1u << code_bits(format); ++code) {
      const float value = decode(format, std::uint16_t(code));
      if (std::isnan(value))
        CHECK(std::isnan(decode(format, encode(format, double(value)))));
      else
        CHECK_MESSAGE(encode(format, double(value)) == code, fmt::format("{} {:04x}", format.name, code));
    }
}

TEST_CASE("midpoints go to the even neighbour and their neighbours do not, in binary64 too") {
  constexpr double kUp = std::numeric_limits<double>::infinity();
  for (const FloatFormat& format : float_formats()) {
    if (format.specials == SpecialCodes::power) continue;  // ties go up: a case of its own
    for (std::uint16_t code = 0; code < max_finite_code(format); ++code) {
      const double middle = (double(decode(format, code)) + double(decode(format, std::uint16_t(code + 1)))) / 2;
      INFO(fmt::format("{} {:04x}", format.name, code));
      CHECK(encode(format, middle) == code + code % 2);
      CHECK(encode(format, std::nextafter(middle, 0.0)) == code);
      CHECK(encode(format, std::nextafter(middle, kUp)) == code + 1);
    }
  }
}

TEST_CASE("every row of the golden casts") {
  for (const GoldenFile& file : kFiles) {
    const nlohmann::json rows = golden(fmt::format("floats/{}.json", file.name));
    if (rows.is_null()) continue;
    REQUIRE(rows["encode"]["rows"].size() > 400);
    for (const auto& row : rows["encode"]["rows"]) {
      INFO(fmt::format("{} {}", file.name, row[0].get<std::string>()));
      const double value = double(std::bit_cast<float>(word_of(row[0])));
      CHECK(encode(file.format, value, Overflow::special) == row[1].get<int>());
      if (file.saturates) CHECK(encode(file.format, value, Overflow::sat_finite) == row[2].get<int>());
    }
    const bool all = rows.contains("decode_f32_bits");
    const nlohmann::json& wanted = all ? rows["decode_f32_bits"] : rows["decode_samples"];
    REQUIRE(wanted.size() >= (all ? std::size_t(1) << code_bits(file.format) : 500));
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const std::size_t code = all ? i : wanted[i][0].get<std::size_t>();
      const float value = decode(file.format, std::uint16_t(code));
      CHECK(std::bit_cast<std::uint32_t>(value) == word_of(all ? wanted[i] : wanted[i][1]));
    }
  }
}

TEST_CASE("the golden Cast cases of ONNX, saturating and not") {
  const nlohmann::json cases = golden("onnx/onnx_cast_float8_cases.json");
  if (cases.is_null()) return;
  const std::pair<const char*, FloatFormat> types[] = {{"FLOAT8E4M3FN", kE4M3FN},
                                                       {"FLOAT8E4M3FNUZ", kE4M3FNUZ},
                                                       {"FLOAT8E5M2", kE5M2},
                                                       {"FLOAT8E5M2FNUZ", kE5M2FNUZ},
                                                       {"FLOAT4E2M1", kE2M1FN}};
  int checked = 0;
  for (const auto& one : cases["cases"]) {
    INFO(one["name"].get<std::string>());
    const std::vector<int> codes = one["codes"];
    for (const auto& [name, format] : types) {
      if (one["to"] == name) {
        const bool saturate = one.value("saturate", 1) == 1;
        const std::vector<float> inputs = floats_of(one["input_f32_hex"]);
        REQUIRE(inputs.size() == codes.size());
        for (std::size_t i = 0; i < codes.size(); ++i)
          CHECK(encode(format, double(inputs[i]), saturate ? Overflow::sat_all : Overflow::special) == codes[i]);
        ++checked;
      } else if (one["from_"] == name) {
        const std::vector<float> outputs = floats_of(one["output_f32_hex"]);
        for (std::size_t i = 0; i < codes.size(); ++i)
          CHECK(std::bit_cast<std::uint32_t>(decode(format, std::uint16_t(codes[i]))) ==
                std::bit_cast<std::uint32_t>(outputs[i]));
        ++checked;
      }
    }
    if (one["to"] != "FLOAT8E8M0") continue;
    const std::vector<float> inputs = floats_of(one["input_f32_hex"]);
    for (std::size_t i = 0; i < codes.size(); ++i)
      CHECK((inputs[i] > 0 ? e8m0_at_or_above(double(inputs[i])) : 0) == codes[i]);
    ++checked;
  }
  CHECK(checked == int(cases["cases"].size()));
}

TEST_CASE("one rounding from binary64: what two roundings would get wrong") {
  // 1 + 2^-4 is the midpoint of 1 and 1.125 in E4M3; 2^-40 more decides upward but is lost in binary32.
  CHECK(encode(kE4M3FN, 1.0 + 0x1p-4) == 0x38);
  CHECK(encode(kE4M3FN, 1.0 + 0x1p-4 + 0x1p-40) == 0x39);
}

TEST_CASE("powers at, below and above a value, at both ends of the range") {
  CHECK(e8m0_at_or_below(1.0) == 127);
  CHECK(e8m0_at_or_above(1.0) == 127);
  CHECK(e8m0_at_or_below(std::nextafter(2.0, 0.0)) == 127);
  CHECK(e8m0_at_or_above(std::nextafter(2.0, 3.0)) == 129);
  CHECK(e8m0_at_or_below(0x1p-140) == 0);
  CHECK(e8m0_at_or_above(0x1p-140) == 0);
  CHECK(e8m0_at_or_above(0x1.8p-127) == 1);
  CHECK(e8m0_at_or_below(double(std::numeric_limits<float>::max())) == 254);
  CHECK(e8m0_at_or_above(double(std::numeric_limits<float>::max())) == 254);
  CHECK(encode(kE8M0FNU, std::numeric_limits<double>::infinity(), Overflow::sat_all) == 254);
  CHECK(encode(kE8M0FNU, -std::numeric_limits<double>::infinity(), Overflow::sat_all) == 0);
}

TEST_CASE("an unknown float format is refused with the nearest name") {
  CHECK(&float_format("e2m1fn") != nullptr);
  CHECK_THROWS_WITH_AS(float_format("e2m1f"), doctest::Contains("did you mean 'e2m1fn'?"), InputError);
}
