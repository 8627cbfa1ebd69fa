#include <doctest/doctest.h>
#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <limits>
#include <map>

#include "kernels/base/error.h"
#include "kernels/base/random.h"
#include "kernels/mx/mx_blocks.h"
#include "kernels/mx/nvfp4.h"
#include "kernels/mx/packed_mx.h"
#include "tests/golden_json.h"

using namespace qb;

namespace {

MatrixView<const float> one_row(const std::vector<float>& values) {
  return {values.data(), 1, std::ssize(values), std::ssize(values)};
}

/// Bit for bit, so that zeros are compared with their sign.
void check_same_bits(const std::vector<float>& values, const std::vector<float>& wanted) {
  REQUIRE(values.size() == wanted.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    CHECK(std::bit_cast<std::uint32_t>(values[i]) == std::bit_cast<std::uint32_t>(wanted[i]));
}

const std::map<std::string, MxScaleRule> kRules = {{"floor", MxScaleRule::floor},
                                                   {"ceil", MxScaleRule::ceil},
                                                   {"even", MxScaleRule::even},
                                                   {"rceil", MxScaleRule::up}};

}  // namespace

TEST_CASE("MX blocks: scales, codes and values of the golden cases, in all four scale rules") {
  const nlohmann::json blocks = golden("mx/mx_blocks.json");
  if (blocks.is_null()) return;
  const std::map<std::string, std::string> names = {{"float8_e4m3fn", "mxfp8e4m3"}, {"float8_e5m2", "mxfp8e5m2"},
                                                    {"float6_e3m2fn", "mxfp6e3m2"}, {"float6_e2m3fn", "mxfp6e2m3"},
                                                    {"float4_e2m1fn", "mxfp4"},     {"mxint8", "mxint8"}};
  CHECK(blocks["cases"].size() == 84);
  for (const auto& one : blocks["cases"]) {
    INFO(fmt::format("{} {} {}", one["elem"].dump(), one["input"].dump(), one["scale_mode"].dump()));
    const MxElement& element = mx_element(names.at(one["elem"]));
    const std::vector<float> values = floats_of(blocks["inputs"][one["input"].get<std::string>()]);
    const MxMatrix matrix = quantize_mx(element, one_row(values), kRules.at(one["scale_mode"]));
    CHECK(matrix.scales == one["e8m0"].get<std::vector<std::uint8_t>>());
    std::vector<std::uint8_t> codes;
    for (const int code : one["codes"].get<std::vector<int>>()) codes.push_back(std::uint8_t(code));
    CHECK(matrix.codes == codes);
    check_same_bits(dequantize_mx(matrix), floats_of(one["dequant_f32_hex"]));
  }
}

TEST_CASE("MX values are those of microxcaling, in both of its roundings") {
  const nlohmann::json blocks = golden("mx/mx_microxcaling.json");
  if (blocks.is_null()) return;
  const std::map<std::string, MxElement> elements = {{"fp8_e4m3", mx_element("mxfp8e4m3")},
                                                     {"fp8_e5m2", mx_element("mxfp8e5m2")},
                                                     {"fp6_e3m2", mx_element("mxfp6e3m2")},
                                                     {"fp6_e2m3", mx_element("mxfp6e2m3")},
                                                     {"fp4_e2m1", mx_element("mxfp4")},
                                                     {"int8", mx_element("mxint8")},
                                                     {"int4", {"mxint4", {}, 4}}};
  CHECK(blocks["cases"].size() == 56);
  for (const auto& one : blocks["cases"]) {
    INFO(fmt::format("{} {} {}", one["format"].dump(), one["input"].dump(), one["round"].dump()));
    const std::vector<float> values = floats_of(blocks["inputs"][one["input"].get<std::string>()]);
    const Ties ties = one["round"] == "even" ? Ties::even : Ties::away;
    const MxMatrix matrix = quantize_mx(elements.at(one["format"]), one_row(values), MxScaleRule::floor, ties);
    const std::vector<float> decoded = dequantize_mx(matrix), wanted = floats_of(one["dequant_f32_hex"]);
    REQUIRE(decoded.size() == wanted.size());
    for (std::size_t i = 0; i < decoded.size(); ++i) CHECK(decoded[i] == wanted[i]);
  }
}

TEST_CASE("a block with a NaN or an infinity decodes to NaN, and its neighbours do not care") {
  std::vector<float> values(96, 1.0f);
  values[33] = std::numeric_limits<float>::quiet_NaN();
  values[94] = -std::numeric_limits<float>::infinity();
  for (const MxElement& element : mx_elements()) {
    const std::vector<float> decoded = dequantize_mx(quantize_mx(element, one_row(values), MxScaleRule::floor));
    for (std::size_t i = 0; i < 96; ++i) CHECK(std::isnan(decoded[i]) == (i >= 32));
    CHECK(decoded[0] == 1.0f);
  }
}

TEST_CASE("short last blocks, strided rows, and powers of two that every element holds exactly") {
  std::vector<float> values(2 * 50, 99.0f);
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t j = 0; j < 37; ++j) values[i * 50 + j] = std::ldexp(j % 2 ? -1.0f : 1.0f, int(i + j % 2));
  for (const MxElement& element : mx_elements())
    for (const auto& [name, rule] : kRules) {
      INFO(fmt::format("{} {}", element.name, name));
      const MxMatrix matrix = quantize_mx(element, {values.data(), 2, 37, 50}, rule);
      CHECK(matrix.scales.size() == 4);
      const std::vector<float> decoded = dequantize_mx(matrix);
      for (std::size_t i = 0; i < 2; ++i)
        for (std::size_t j = 0; j < 37; ++j) CHECK(decoded[i * 37 + j] == values[i * 50 + j]);
    }
}

TEST_CASE("no rule leaves the range of E8M0, and below 2^127 'up' never saturates an element") {
  Random random(7);
  for (int i = 0; i < 20'000; ++i) {
    const float amax = std::bit_cast<float>(std::uint32_t(random() % 0x7f800000u));
    for (const MxElement& element : mx_elements()) {
      for (const auto& [name, rule] : kRules) CHECK(mx_scale(element, amax, rule) <= 254);
      const double unit = double(decode(kE8M0FNU, mx_scale(element, amax, MxScaleRule::up)));
      const double most = element.integer_bits ? 127.0 / 64 : double(max_finite(element.format));
      if (amax < 0x1p127f)
        CHECK(double(amax) / unit <= most * (1 + 0x1p-24));  // one rounding of amax / most in binary32
    }
  }
}

TEST_CASE("an unknown MX element is refused with the nearest name") {
  CHECK_THROWS_WITH_AS(mx_element("mxfp5"), doctest::Contains("did you mean 'mxfp4'?"), InputError);
}

TEST_CASE("NVFP4: scales, codes, bytes and values of the golden cases, with one and two levels") {
  const nlohmann::json file = golden("mx/nvfp4.json");
  if (file.is_null()) return;
  CHECK(file["cases"].size() == 8);
  for (const auto& one : file["cases"]) {
    INFO(fmt::format("{} two_level {}", one["input"].dump(), one["two_level"].dump()));
    const std::vector<float> values = floats_of(file["inputs"][one["input"].get<std::string>()]);
    const auto levels = one["two_level"].get<bool>() ? Nvfp4Levels::two : Nvfp4Levels::one;
    const Nvfp4Matrix matrix = quantize_nvfp4(one_row(values), levels);
    check_same_bits({matrix.tensor_scale}, floats_of(one["tensor_scale_f32_hex"]));
    CHECK(matrix.scales == one["block_scale_e4m3"].get<std::vector<std::uint8_t>>());
    CHECK(matrix.codes == one["codes"].get<std::vector<std::uint8_t>>());
    CHECK(packed_nibbles(matrix) == one["packed"].get<std::vector<std::uint8_t>>());
    check_same_bits(dequantize_nvfp4(matrix), floats_of(one["dequant_f32_hex"]));
  }
}

TEST_CASE("NVFP4: zeros stay zeros, odd rows pack alone, and what is not finite is refused by place") {
  std::vector<float> values(2 * 19, 0.0f);
  const Nvfp4Matrix zeros = quantize_nvfp4({values.data(), 2, 19, 19}, Nvfp4Levels::two);
  CHECK(zeros.scales.size() == 4);
  CHECK(dequantize_nvfp4(zeros) == values);
  CHECK(packed_nibbles(zeros).size() == 20);
  values[25] = std::numeric_limits<float>::infinity();
  CHECK_THROWS_WITH_AS(quantize_nvfp4({values.data(), 2, 19, 19}, Nvfp4Levels::one),
                       doctest::Contains("at row 1, column 6 is not finite"), DataError);
}

TEST_CASE("packed, MX and NVFP4 matrices keep every bit, short last blocks included") {
  Random random(3);
  std::vector<float> values(3 * 75);
  for (float& x : values) x = static_cast<float>(random.normal());
  std::fill(values.begin() + 80, values.begin() + 120, 0.0f);
  const MatrixView<const float> view = {values.data(), 3, 75, 75};
  const std::map<std::string_view, std::string> formats = {{"mxfp8e4m3", "e4m3g32.e8m0"}, {"mxfp8e5m2", "e5m2g32.e8m0"},
                                                           {"mxfp6e3m2", "e3m2g32.e8m0"}, {"mxfp6e2m3", "e2m3g32.e8m0"},
                                                           {"mxfp4", "e2m1g32.e8m0"},     {"mxint8", "q8g32.e8m0"}};
  for (const MxElement& element : mx_elements()) {
    INFO(element.name);
    const MxMatrix matrix = quantize_mx(element, view, MxScaleRule::even);
    const PackedMatrix packed = packed_from_mx(matrix);
    CHECK(to_text(packed.format) == formats.at(element.name));
    check_same_bits(dequantize(packed), dequantize_mx(matrix));
  }
  for (const Nvfp4Levels levels : {Nvfp4Levels::one, Nvfp4Levels::two}) {
    const Nvfp4Matrix matrix = quantize_nvfp4(view, levels);
    const PackedMatrix packed = packed_from_nvfp4(matrix);
    CHECK(to_text(packed.format) == "e2m1g16.e4m3");
    check_same_bits(dequantize(packed), dequantize_nvfp4(matrix));
  }
  values[75 + 40] = std::numeric_limits<float>::infinity();
  CHECK_THROWS_WITH_AS(packed_from_mx(quantize_mx(mx_element("mxfp4"), view, MxScaleRule::floor)),
                       doctest::Contains("block 1 of row 1 is not a number"), DataError);
}
