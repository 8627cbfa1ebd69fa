// Methods that store weights in formats of their own: what they decode to, against golden vectors and definitions.
#include <doctest/doctest.h>

#include <array>
#include <cfloat>
#include <cmath>
#include <numeric>

#include "kernels/base/random.h"
#include "quantizers/methods.h"
#include "tests/golden_json.h"

namespace qb {
namespace {

PackedMatrix quantized(const std::vector<float>& values, std::int64_t n, const std::string& text) {
  const QuantSpec spec = parse_quant_spec(text);
  const std::int64_t k = std::ssize(values) / n;
  return find_quantizer(spec.method)->quantize({{values.data(), n, k, k}, "the layer"}, spec);
}

double mean_square(const std::vector<float>& values, const PackedMatrix& packed) {
  const std::vector<float> decoded = dequantize(packed);
  double sum = 0;
  for (std::size_t i = 0; i < decoded.size(); ++i) sum += std::pow(double(values[i]) - double(decoded[i]), 2);
  return sum / double(decoded.size());
}

std::vector<float> normal_weights(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = float(0.05 * random.normal());
  return values;
}

std::vector<int> signed_codes(const PackedMatrix& packed) {
  const std::vector<std::uint8_t> codes = unpack_codes(packed);
  std::vector<int> out(codes.size());
  for (std::size_t i = 0; i < codes.size(); ++i) out[i] = int(codes[i]) - 1;
  return out;
}

/// One of each method with a format of its own.
constexpr std::array kSpecs = {"fp8:e4m3",
                               "fp8:e5m2g32",
                               "fp8:e4m3@per=tensor,scale=e8m0",
                               "mx:e4m3",
                               "mx:e5m2@rule=ceil",
                               "mx:e3m2",
                               "mx:e2m3@rule=even",
                               "mx:e2m1@rule=up",
                               "mx:int8",
                               "nvfp4:w4",
                               "nvfp4:w4@levels=one",
                               "nf4:w4g64",
                               "af4:w4g64@scale=f16",
                               "nf4:w4",
                               "nf4:w4g64@scale=dq8",
                               "af4:w4@scale=dq8",
                               "any4:w4g128",
                               "pot:w4",
                               "pot:w3@per=tensor,scale=e8m0",
                               "apot:w4g64@range=mse",
                               "apot:w7@range=sigma,scale=f16",
                               "gguf:q4_K_M",
                               "hqq:w4g64",
                               "hqq:w1",
                               "hqq:w3g16@scale=f16",
                               "hqq:w8@per=tensor",
                               "ternary:w2",
                               "ternary:w2g64@rule=twn",
                               "ternary:w2@rule=absmean,store=base3",
                               "ternary:w2@per=tensor,rule=refit",
                               "binary:w1",
                               "binary:w1g128@scale=f16",
                               "gguf:q4_0",
                               "gguf:q8_0",
                               "gguf:q4_K",
                               "gguf:q6_K",
                               "gguf:iq4_nl",
                               "gguf:tq2_0",
                               "gguf:q1_0",
                               "gguf:mxfp4",
                               "rtn:w4g32@scale=f16"};

}  // namespace

TEST_CASE("binary and ternary rules give the golden codes, scales and errors") {
  const nlohmann::json file = golden("codebook/binary_ternary.json");
  if (file.is_null()) return;
  for (const nlohmann::json& c : file["cases"]) {
    INFO(c["name"].get<std::string>());
    const std::vector<float> w = floats_of(c["w_f32_hex"]);
    const auto near = [](double golden) { return doctest::Approx(golden).epsilon(1e-6); };  // scales are float32
    const PackedMatrix binary = quantized(w, 1, "binary:w1");
    CHECK(binary.scales[0] == near(c["binary_alpha"]));
    CHECK(mean_square(w, binary) == near(c["binary_mse"]));
    const PackedMatrix twn = quantized(w, 1, "ternary:w2@rule=twn");
    CHECK(twn.scales[0] == near(c["twn_alpha"]));
    CHECK(signed_codes(twn) == c["twn_codes"].get<std::vector<int>>());
    CHECK(mean_square(w, twn) == near(c["twn_mse"]));
    const PackedMatrix best = quantized(w, 1, "ternary:w2");
    CHECK(best.scales[0] == near(c["optimal_ternary_alpha"]));
    const std::vector<int> codes = signed_codes(best);
    CHECK(std::transform_reduce(codes.begin(), codes.end(), 0, std::plus<>(),
                                [](int code) { return std::abs(code); }) == c["optimal_ternary_count"].get<int>());
    CHECK(mean_square(w, best) == near(c["optimal_ternary_mse"]));
    const PackedMatrix absmean = quantized(w, 1, "ternary:w2@rule=absmean");
    CHECK(absmean.scales[0] == near(c["b158_gamma"]));
    CHECK(signed_codes(absmean) == c["b158_codes"].get<std::vector<int>>());
    CHECK(mean_square(w, absmean) == near(c["b158_mse"]));
    CHECK(mean_square(w, quantized(w, 1, "ternary:w2@rule=refit")) <= mean_square(w, absmean));
    CHECK(dequantize(quantized(w, 1, "ternary:w2@store=base3")) == dequantize(best));
  }
}

TEST_CASE("half-quadratic zero points reach the golden error, and never exceed that of min and max") {
  const nlohmann::json file = golden("ptq/hqq.json");
  if (file.is_null()) return;
  for (const nlohmann::json& c : file["cases"]) {
    const std::string text = "hqq:w" + std::to_string(c["bits"].get<int>()) + "g64";
    INFO(c["name"].get<std::string>(), " ", text);
    const std::vector<float> w = floats_of(c["W_f32_hex"]);
    const auto mean_error = [&](const std::string& spec) {
      const std::vector<float> decoded = dequantize(quantized(w, 8, spec));
      double sum = 0;
      for (std::size_t i = 0; i < w.size(); ++i) sum += std::abs(double(w[i]) - double(decoded[i]));
      return sum / double(w.size());
    };
    const double start = mean_error(text + "@steps=0");
    CHECK(start == doctest::Approx(c["mean_abs_err_init"].get<double>()).epsilon(0.01));
    CHECK(mean_error(text) <= c["mean_abs_err"].get<double>() * 1.01);  // as exact as the golden README asks
    CHECK(mean_error(text) <= start * (1 + 1e-6));                      // codes meet the rounded offset once more
  }
}

TEST_CASE("formats have the bits that their names promise, scales included") {
  const std::vector<float> w = normal_weights(4 * 512, 1);
  const auto bits = [&](const std::string& text) { return bits_per_weight(quantized(w, 4, text)); };
  CHECK(bits("mx:e2m1") == 4.25);
  CHECK(bits("mx:e3m2") == 6.25);
  CHECK(bits("mx:int8") == 8.25);
  CHECK(bits("nvfp4:w4") == doctest::Approx(4.5 + 32.0 / (4 * 512)));
  CHECK(bits("nf4:w4g64") == 4.5);
  CHECK(bits("nf4:w4g64@scale=f16") == 4.25);
  CHECK(bits("nf4:w4g64@scale=dq8") == doctest::Approx(4.125 + 2 * 32.0 / (4 * 512)));
  CHECK(bits("apot:w5") == doctest::Approx(5 + 32.0 / 512));
  CHECK(bits("gguf:q4_0") == 4.5);
  CHECK(bits("gguf:q4_K") == 4.5);
  CHECK(bits("gguf:q6_K") == 6.5625);
  CHECK(bits("gguf:tq1_0") ==
        doctest::Approx(1.6875).epsilon(0.01));  // five to a byte throughout, not 54 bytes per 256
  CHECK(bits("hqq:w4g64@scale=f16") == 4.5);
  CHECK(bits("rtn:w4g128@scale=f16") == 4.125);
  CHECK(bits("ternary:w2@store=base3") == doctest::Approx(1.6 + 32.0 / 512).epsilon(0.01));
  CHECK(bits("binary:w1") == 1 + 32.0 / 512);
}

TEST_CASE("errors on normal weights are ordered as published") {
  const std::vector<float> w = normal_weights(16 * 1024, 2);
  const auto error = [&](const std::string& text) { return std::sqrt(mean_square(w, quantized(w, 16, text))) / 0.05; };
  // The order of relative errors that quantizers.md, section 5.3, gives for ggml's own encoders.
  double before = 0;
  for (const char* type : {"q8_0", "q6_K", "q5_K", "q5_1", "q5_0", "q4_K", "iq4_xs", "q4_1", "q4_0", "nvfp4", "mxfp4",
                           "q3_K", "q2_K", "q1_0", "q2_0"}) {
    const double now = error(std::string("gguf:") + type);
    CHECK_MESSAGE(now > before, type, ": ", now);
    before = now;
  }
  CHECK(error("gguf:q4_0") == doctest::Approx(0.080).epsilon(0.05));
  CHECK(error("gguf:q2_K") == doctest::Approx(0.277).epsilon(0.05));
  CHECK(error("nf4:w4g64") < error("rtn:w4g64"));
  CHECK(error("mx:e4m3") < error("mx:e5m2"));
  CHECK(error("mx:e2m3") < error("mx:e3m2"));
  CHECK(error("ternary:w2") <= error("ternary:w2@rule=twn"));
  CHECK(error("ternary:w2") < error("binary:w1"));
  CHECK(error("binary:w1") == doctest::Approx(std::sqrt(0.3634)).epsilon(0.02));
  CHECK(error("ternary:w2@per=tensor") == doctest::Approx(std::sqrt(0.190)).epsilon(0.02));
}

TEST_CASE("scales that are quantized themselves cost little, and are stored as QLoRA counts them") {
  const std::vector<float> w = normal_weights(256 * 1024, 8);
  const PackedMatrix once = quantized(w, 256, "nf4:w4g64"), twice = quantized(w, 256, "nf4:w4g64@scale=dq8");
  CHECK(bits_per_weight(twice) == doctest::Approx(4.127).epsilon(1e-4));
  CHECK(to_text(twice.format) == "nf4g64.dq8");
  REQUIRE(twice.scales.size() == once.scales.size());
  for (std::size_t i = 0; i < once.scales.size(); ++i) {
    const float unit = twice.super_scales[i / 256];
    // Half of the widest step between dynamic levels, 0.9 / 64, of the block's largest difference from the mean.
    CHECK(std::abs(twice.scales[i] - once.scales[i]) <= 0.5f * 0.9f / 64 * unit * 1.001f);
  }
  CHECK(mean_square(w, twice) <= 1.01 * mean_square(w, once));
}

TEST_CASE("powers of two and their sums: nearest levels, the lower one on ties, and ranges that pay") {
  // Levels -1, -1/2, -1/4, 0, 1/4, 1/2, 1 of a row whose largest weight is 1.
  const std::vector<float> w = {1.0f, 0.125f, -0.125f, 0.375f, -0.75f, 0.76f, 0.0f, 0.3f};
  CHECK(dequantize(quantized(w, 1, "pot:w3")) ==
        std::vector<float>{1.0f, 0.0f, -0.25f, 0.25f, -1.0f, 1.0f, 0.0f, 0.25f});
  const nlohmann::json books = golden("codebook/codebooks.json");
  for (int bits = 4; bits <= 7 && !books.is_null(); ++bits) {
    const auto magnitudes = books["apot_positive"][std::to_string(bits - 1)].get<std::vector<double>>();
    std::vector<float> row;
    for (const double magnitude : magnitudes) row.insert(row.end(), {float(3 * magnitude), float(-3 * magnitude)});
    const std::vector<float> decoded = dequantize(quantized(row, 1, "apot:w" + std::to_string(bits)));
    // A level of 448 at most times a scale that is rounded once.
    for (std::size_t i = 0; i < row.size(); ++i) CHECK(decoded[i] == doctest::Approx(row[i]).epsilon(1e-6));
  }
  const std::vector<float> normal = normal_weights(16 * 1024, 9);
  for (const std::string text : {"pot:w3", "pot:w4", "apot:w4", "apot:w5g128", "apot:w7"}) {
    INFO(text);
    const double searched = mean_square(normal, quantized(normal, 16, text + "@range=mse"));
    CHECK(searched <= mean_square(normal, quantized(normal, 16, text)));
    CHECK(searched <= mean_square(normal, quantized(normal, 16, text + "@range=sigma")) * 1.01);
  }
  // What the additive form is for: at equal bits it has less error than single powers.
  CHECK(mean_square(normal, quantized(normal, 16, "apot:w5@range=mse")) <
        0.5 * mean_square(normal, quantized(normal, 16, "pot:w5@range=mse")));
}

TEST_CASE("formats survive rows that are zero, constant, tiny or alone") {
  std::vector<float> rows(6 * 512, 0.0f);
  constexpr std::array kConstants = {0.0f, 0.5f, -0.5f, FLT_TRUE_MIN, 1e-30f, 3e4f};
  for (std::size_t row = 0; row < kConstants.size(); ++row)
    std::fill_n(rows.begin() + std::ptrdiff_t(512 * row), 512, kConstants[row]);
  for (const std::string text : kSpecs) {
    INFO(text);
    const std::vector<float> decoded = dequantize(quantized(rows, 6, text));
    CHECK(std::all_of(decoded.begin(), decoded.end(), [](float value) { return std::isfinite(value); }));
    if (!text.starts_with("gguf") && text.find("g") == text.npos) quantized({0.25f}, 1, text);
    std::vector<float> bad = rows;
    bad[3 * 512 + 7] = NAN;
    CHECK_THROWS_WITH_AS(quantized(bad, 6, text), doctest::Contains("weight [3, 7]"), DataError);
  }
}

TEST_CASE("a type of GGUF that rows do not fill gives way as in llama.cpp, and then the layer stays float") {
  const auto format = [](std::size_t k, const std::string& text) {
    return to_text(quantized(normal_weights(4 * k, 3), 4, text).format);
  };
  CHECK(format(512, "gguf:q4_K") == "q4g32o.i6");
  CHECK(format(96, "gguf:q4_K") == "q5g32.f16");
  CHECK(format(96, "gguf:q6_K") == "q8g32.f16");
  CHECK(format(96, "gguf:tq2_0") == "q4g32.f16");
  CHECK(format(96, "gguf:q3_K") == "q4g32.f16");
  CHECK(format(96, "gguf:iq4_xs") == "iq4nlg32.f16");
  CHECK_THROWS_WITH_AS(format(25, "gguf:q4_K"), "rows of 25 weights are not whole blocks of 32, as q5_0 has them",
                       Unsupported);
}

TEST_CASE("specs of named formats print to themselves") {
  for (const std::string text : kSpecs) CHECK(to_text(parse_quant_spec(text)) == text);
  CHECK(to_text(parse_quant_spec("gguf:q4_K-a8")) == "gguf:q4_K-a8");
  CHECK(to_text(parse_quant_spec("fp8:e4m3g128-a8@mode=static")) == "fp8:e4m3g128-a8@mode=static");
  CHECK_THROWS_WITH_AS(parse_quant_spec("gguf:q4_k"), doctest::Contains("the nearest valid one is 'gguf:q4_K'"),
                       InputError);
  CHECK_THROWS_WITH_AS(parse_quant_spec("mx:e2m1a8"), doctest::Contains("'a8' is not understood"), InputError);
  CHECK_THROWS_WITH_AS(parse_quant_spec("mx:e2m1g32"), doctest::Contains("does not work in groups"), InputError);
  CHECK_THROWS_WITH_AS(parse_quant_spec("nf4:w5g64"), doctest::Contains("weights can have 4 bits only"), InputError);
  CHECK_THROWS_WITH_AS(parse_quant_spec("gguf:w4"), doctest::Contains("the weights' format is missing"), InputError);
}

}  // namespace qb
