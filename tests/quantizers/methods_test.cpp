#include "quantizers/methods.h"

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <limits>

#include "kernels/base/random.h"
#include "tests/golden_json.h"

namespace qb {
namespace {

struct Matrix {
  std::int64_t n = 0, k = 0;
  std::vector<float> values;
};

PackedMatrix quantized(const Matrix& m, const std::string& text) {
  const QuantSpec spec = parse_quant_spec(text);
  return find_quantizer(spec.method)->quantize({{m.values.data(), m.n, m.k, m.k}, "the layer"}, spec);
}

double squared_error(const Matrix& m, const std::string& text) {
  const std::vector<float> decoded = dequantize(quantized(m, text));
  double sum = 0;
  for (std::size_t i = 0; i < decoded.size(); ++i) sum += std::pow(double(m.values[i]) - double(decoded[i]), 2);
  return sum;
}

/// Rows of different size with a few outliers, as trained layers have.
Matrix trained_like(std::int64_t n, std::int64_t k, std::uint64_t seed) {
  Random random(seed);
  Matrix m{n, k, std::vector<float>(std::size_t(n * k))};
  for (std::int64_t i = 0; i < n; ++i) {
    const double size = std::exp(0.5 * random.normal());
    for (std::int64_t j = 0; j < k; ++j)
      m.values[std::size_t(i * k + j)] = float(size * random.normal() * (random.below(50) == 0 ? 3 : 1));
  }
  return m;
}

std::vector<std::string> all_methods(int bits) {
  const std::string w = ":w" + std::to_string(bits);
  return {"rtn" + w,
          "rtn" + w + "@per=tensor",
          "rtn" + w + "g16",
          "rtn" + w + "@grid=asym",
          "rtn" + w + "@grid=asym,per=tensor",
          "rtn" + w + "g32@grid=asym,range=mse",
          "rtn" + w + "@range=mse",
          "rtn" + w + "@range=percentile",
          "rtn" + w + "@grid=asym,range=percentile,percentile=95",
          "kmeans" + w,
          "kmeans" + w + "@per=channel",
          "kmeans" + w + "@init=dp",
          "kmeans" + w + "@init=kmeans++,pin_zero=1",
          "entropy" + w,
          "entropy" + w + "@level=median,per=channel"};
}

}  // namespace

TEST_CASE("asymmetric rounding decodes to the golden values bit for bit, and its searched ranges are no worse") {
  const nlohmann::json file = golden("ptq/gptq.json");
  if (file.is_null()) return;
  const Matrix m{file["rows"], file["cols"], floats_of(file["W_f32_hex"])};
  const auto error = [&](const std::vector<float>& decoded) {
    double sum = 0;
    for (std::size_t i = 0; i < decoded.size(); ++i)
      sum += std::pow(std::abs(double(m.values[i]) - double(decoded[i])), 2.4);
    return sum;
  };
  int compared = 0;
  for (const nlohmann::json& c : file["rtn"]) {
    if (c["sym"].get<bool>()) continue;  // its symmetric grid has another step, 2 absmax / (2^b - 1)
    const std::string text = "rtn:w" + std::to_string(c["bits"].get<int>()) + "@grid=asym";
    INFO(text, " search=", c["mse_search"].get<bool>());
    const std::vector<float> wanted = floats_of(c["dequant_f32_hex"]);
    ++compared;
    if (c["mse_search"].get<bool>()) {
      // The golden search shrinks by 1 to 80 percent, ours by 1 to 99: the same candidates and more, rounding apart.
      CHECK(error(dequantize(quantized(m, text + ",range=mse,norm=2.4"))) <= error(wanted) * (1 + 1e-6));
    } else {
      CHECK(dequantize(quantized(m, text)) == wanted);
    }
  }
  CHECK(compared == 8);
}

TEST_CASE("symmetric rounding is absmax over the top code, ties to even") {
  const Matrix m{2, 4, {7.0f, 2.5f, -3.5f, 0.0f, -14.0f, 1.0f, 3.0f, 13.0f}};
  const PackedMatrix packed = quantized(m, "rtn:w4");
  CHECK(packed.scales == std::vector<float>{1.0f, 2.0f});
  CHECK(packed.zeros.empty());
  CHECK(to_text(packed.format) == "q4c");
  // Codes are stored with 8 added: 7, 2 (2.5 is a tie), -4 (-3.5 is one), 0; then -7, 0 (0.5), 2 (1.5), 6 (6.5).
  CHECK(unpack_codes(packed) == std::vector<std::uint8_t>{15, 10, 4, 8, 1, 8, 10, 14});
}

TEST_CASE("what shares a scale is a tensor, a row, or a group whose last one may be short") {
  const Matrix m = trained_like(5, 70, 1);
  CHECK(quantized(m, "rtn:w4@per=tensor").scales.size() == 1);
  CHECK(quantized(m, "rtn:w4").scales.size() == 5);
  const PackedMatrix grouped = quantized(m, "rtn:w4g32");
  REQUIRE(grouped.scales.size() == 15);
  CHECK(to_text(grouped.format) == "q4g32");
  float peak = 0;
  for (int j = 64; j < 70; ++j) peak = std::max(peak, std::abs(m.values[std::size_t(j)]));
  CHECK(grouped.scales[2] == peak / 7.0f);
  CHECK(to_text(quantized(m, "rtn:w3g32@grid=asym").format) == "q3g32z");
  CHECK(to_text(quantized(m, "kmeans:w4").format) == "t4t");
  CHECK(quantized(m, "entropy:w4@per=channel").table.size() == 5 * 16);
}

TEST_CASE("every method at every width survives rows that are zero, constant, tiny, huge or alone") {
  Matrix m{7, 40, std::vector<float>(280, 0.0f)};
  constexpr std::array kConstants = {0.0f, 0.5f, -0.5f, FLT_TRUE_MIN, FLT_MAX, -FLT_MAX};
  for (std::size_t row = 0; row < kConstants.size(); ++row)
    std::fill_n(m.values.begin() + std::ptrdiff_t(40 * row), 40, kConstants[row]);
  m.values[6 * 40 + 3] = -2.0f;
  const Matrix one{1, 1, {0.25f}};
  for (int bits = 2; bits <= 8; ++bits) {
    for (const std::string& text : all_methods(bits)) {
      INFO(text);
      for (const Matrix* matrix : std::array<const Matrix*, 2>{&m, &one}) {
        const std::vector<float> decoded = dequantize(quantized(*matrix, text));
        CHECK(std::all_of(decoded.begin(), decoded.end(), [](float value) { return std::isfinite(value); }));
      }
    }
    // A constant row is the end of its own range: exact but for one rounding of scale * code, and zero is zero.
    const std::vector<float> rows = dequantize(quantized(m, "rtn:w" + std::to_string(bits)));
    CHECK(rows[0] == 0.0f);
    CHECK(rows[40] == doctest::Approx(0.5f).epsilon(2e-7));
    CHECK(rows[160] == doctest::Approx(FLT_MAX).epsilon(2e-7));
    CHECK(dequantize(quantized(one, "kmeans:w" + std::to_string(bits))) == one.values);
    CHECK(dequantize(quantized(one, "entropy:w" + std::to_string(bits))) == one.values);
  }
}

TEST_CASE("weights that are not finite are refused by layer, row and column") {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    Matrix m = trained_like(3, 8, 2);
    m.values[2 * 8 + 5] = bad;
    for (const std::string& text : all_methods(4)) {
      INFO(text);
      try {
        quantized(m, text);
        FAIL("accepted");
      } catch (const DataError& error) {
        const std::string message = error.what();
        CHECK(message.find("layer 'the layer'") != std::string::npos);
        CHECK(message.find("[2, 5]") != std::string::npos);
      }
    }
  }
}

TEST_CASE("errors of methods are ordered as their definitions promise") {
  const Matrix m = trained_like(32, 200, 3);
  for (int bits = 2; bits <= 8; ++bits) {
    const std::string w = ":w" + std::to_string(bits);
    INFO("bits ", bits);
    // By definition: a search that contains min-max, an optimum over all tables.
    CHECK(squared_error(m, "rtn" + w + "@range=mse") <= squared_error(m, "rtn" + w));
    CHECK(squared_error(m, "rtn" + w + "@grid=asym,range=mse") <= squared_error(m, "rtn" + w + "@grid=asym"));
    // Levels are stored as float32: 6e-8 of each weight, at 8 bits 1e-4 of the error of a step.
    const double optimum = squared_error(m, "kmeans" + w + "@init=dp");
    for (const std::string options : {"", "@init=linear", "@init=density", "@init=kmeans++,restarts=2", "@pin_zero=1"})
      CHECK(squared_error(m, "kmeans" + w + options) >= optimum * (1 - 1e-4));
    CHECK(optimum <= squared_error(m, "rtn" + w + "@per=tensor"));
    CHECK(squared_error(m, "kmeans" + w) <= squared_error(m, "rtn" + w + "@per=tensor"));
    CHECK(squared_error(m, "kmeans" + w) <= squared_error(m, "entropy" + w));
    // Measured on such rows: finer sharing pays.
    CHECK(squared_error(m, "rtn" + w) <= squared_error(m, "rtn" + w + "@per=tensor"));
    CHECK(squared_error(m, "rtn" + w + "g32") <= squared_error(m, "rtn" + w));
    CHECK(squared_error(m, "kmeans" + w + "@per=channel") <= squared_error(m, "kmeans" + w));
    if (bits < 8) {
      CHECK(squared_error(m, "rtn:w" + std::to_string(bits + 1)) < squared_error(m, "rtn" + w));
      CHECK(squared_error(m, "kmeans:w" + std::to_string(bits + 1)) < squared_error(m, "kmeans" + w));
    }
  }
}

TEST_CASE("codes of equal mass are equally frequent") {
  const Matrix m = trained_like(16, 256, 4);  // 4096 weights: all divisions by 2^bits are exact
  for (int bits = 2; bits <= 8; ++bits) {
    const std::vector<std::uint8_t> codes = unpack_codes(quantized(m, "entropy:w" + std::to_string(bits)));
    std::vector<int> counts(std::size_t(1) << bits, 0);
    for (const std::uint8_t code : codes) ++counts[code];
    INFO("bits ", bits);
    // Two of the weights may be equal, which moves one boundary by one.
    for (const int count : counts) CHECK(std::abs(count - (4096 >> bits)) <= 1);
  }
}

TEST_CASE("a pinned zero decodes zeros exactly") {
  Matrix m = trained_like(8, 100, 5);
  for (std::size_t i = 0; i < m.values.size(); i += 3) m.values[i] = 0.0f;
  const std::vector<float> decoded = dequantize(quantized(m, "kmeans:w4@pin_zero=1"));
  for (std::size_t i = 0; i < m.values.size(); i += 3) REQUIRE(decoded[i] == 0.0f);
}

TEST_CASE("the same weights give the same digest, other options another") {
  const Matrix m = trained_like(16, 64, 6);
  for (const std::string& text : all_methods(4)) CHECK(quantized(m, text).digest == quantized(m, text).digest);
  CHECK(quantized(m, "kmeans:w4@init=kmeans++,restarts=1,seed=2").digest !=
        quantized(m, "kmeans:w4@init=kmeans++,restarts=1").digest);
  CHECK(quantized(m, "rtn:w4").digest != quantized(m, "rtn:w4@grid=asym").digest);
}

TEST_CASE("an optimum that would take too long is refused in words") {
  Random random(8);
  Matrix m{1030, 1030, std::vector<float>(1030 * 1030)};
  for (float& value : m.values) value = float(random.uniform(-1, 1));
  CHECK_THROWS_AS(quantized(m, "kmeans:w8@init=dp"), InputError);
}

}  // namespace qb
