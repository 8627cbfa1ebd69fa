// What must hold for every method of the table, with every value of its options, whatever the weights are.
#include <doctest/doctest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "kernels/base/random.h"
#include "kernels/base/text.h"
#include "quantizers/layer_inputs.h"
#include "quantizers/methods.h"

namespace qb {
namespace {

/// The method with each number of bits or type, in groups that divide neither 64 nor 512, and with each word that an
/// option accepts.
std::vector<std::string> specs_of(const QuantizerInfo& method) {
  std::vector<std::string> heads;
  for (int bits = method.min_bits; method.types.empty() && bits <= method.max_bits; ++bits)
    heads.push_back(std::string(method.name).append(":w").append(std::to_string(bits)));
  if (!method.types.empty())
    for (const std::string_view type : split(method.types, '|'))
      heads.push_back(std::string(method.name).append(":").append(type));
  std::vector<std::string> specs = heads;
  if (method.groups) specs.push_back(heads.back() + "g24");
  for (const QuantizerOption& option : method.options) {
    if (option.accepted.starts_with("number ") || option.accepted.starts_with("integer ")) continue;
    for (const std::string_view word : split(option.accepted, '|')) {
      if (word == option.otherwise) continue;
      std::string spec = heads[heads.size() / 2];
      if (method.groups && option.key != "per") spec.append("g24");
      spec.append("@").append(option.key).append("=").append(word);
      if (!option.needs.empty()) spec.append(",").append(option.needs);
      specs.push_back(std::move(spec));
    }
  }
  return specs;
}

std::vector<float> normal_weights(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = float(0.05 * random.normal());
  return values;
}

/// Inputs of which the first is always zero and the second always the same.
LayerInputs inputs_of(std::int64_t k) {
  constexpr std::int64_t kRows = 96;
  Random random(3);
  LayerInputs inputs{kRows, {std::vector<double>(std::size_t(k * k), 0.0)}, {std::vector<double>(std::size_t(k), 0.0)}};
  std::vector<double> x(static_cast<std::size_t>(k));
  for (std::int64_t row = 0; row < kRows; ++row) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = i == 0 && k > 1 ? 0 : i == 1 ? 1 : random.normal();
    for (std::size_t i = 0; i < x.size(); ++i) {
      inputs.sums[0][i] += x[i];
      for (std::size_t j = 0; j < x.size(); ++j) inputs.moments[0][i * x.size() + j] += x[i] * x[j];
    }
  }
  return inputs;
}

struct Layer {
  std::int64_t n, k;
  std::vector<float> weights;
  LayerInputs inputs = inputs_of(k);

  PackedMatrix quantized(const std::string& text) const {
    const QuantSpec spec = parse_quant_spec(text);
    return find_quantizer(spec.method)->quantize({{weights.data(), n, k, k}, "the layer", &inputs}, spec);
  }
  double squared_error(const std::string& text) const {
    const std::vector<float> decoded = dequantize(quantized(text));
    double sum = 0;
    for (std::size_t i = 0; i < decoded.size(); ++i)
      sum += (double(weights[i]) - double(decoded[i])) * (double(weights[i]) - double(decoded[i]));
    return sum;
  }
};

/// Long enough for whole blocks where the formats have such.
std::int64_t columns_for(const QuantizerInfo& method) { return method.types.empty() ? 64 : 512; }

/// Calls body(method, spec) for all of the table that stores one matrix at a time.
template <class Body>
void for_each_spec(const Body& body) {
  for (const QuantizerInfo& method : quantizers()) {
    if (method.quantize == nullptr) continue;
    for (const std::string& spec : specs_of(method)) {
      INFO(spec);
      body(method, spec);
    }
  }
}

bool all_finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

/// Rows that are zero, constant, tiny, a single spike, and ordinary, times a factor.
Layer awkward_rows(std::int64_t k, float factor) {
  Layer layer{7, k, std::vector<float>(std::size_t(7 * k), 0.0f)};
  constexpr float kConstants[] = {0.0f, 0.5f, -0.5f, 1e-30f, FLT_TRUE_MIN};
  const auto row = [&](std::size_t i) { return layer.weights.begin() + std::ptrdiff_t(i) * k; };
  for (std::size_t i = 0; i < std::size(kConstants); ++i) std::fill_n(row(i), k, kConstants[i] * factor);
  row(5)[k / 2] = factor;
  const std::vector<float> normal = normal_weights(std::size_t(k), 1);
  std::transform(normal.begin(), normal.end(), row(6), [&](float value) { return value * factor; });
  return layer;
}

}  // namespace

TEST_CASE("zero, constant, tiny and lonely weights decode to finite values of their size") {
  for_each_spec([](const QuantizerInfo& method, const std::string& spec) {
    const Layer layer = awkward_rows(columns_for(method), 1.0f);
    const std::vector<float> decoded = dequantize(layer.quantized(spec));
    CHECK(all_finite(decoded));
    // A scale rounded up to a power of two is the farthest that any method goes.
    const auto [low, high] = std::minmax_element(decoded.begin(), decoded.end());
    CHECK(std::max(-*low, *high) <= 2.0f);
  });
}

TEST_CASE("huge weights decode to finite values, or are refused in words") {
  for (const float factor : {1e6f, 1e30f, 3e38f})
    for_each_spec([factor](const QuantizerInfo& method, const std::string& spec) {
      INFO("factor ", factor);
      std::vector<float> decoded;
      std::string refusal;
      try {
        decoded = dequantize(awkward_rows(columns_for(method), factor).quantized(spec));
      } catch (const std::runtime_error& error) {  // the user's, the data's or the format's limits
        refusal = error.what();
      }
      CHECK(all_finite(decoded));
      CHECK((refusal.empty() || refusal.find("weights") != std::string::npos));
    });
}

TEST_CASE("one weight, one column and one row are matrices too") {
  for_each_spec([](const QuantizerInfo&, const std::string& spec) {
    for (const auto& [n, k] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {5, 1}, {1, 37}}) {
      INFO("n=", n, " k=", k);
      const Layer layer{n, k, normal_weights(std::size_t(n * k), 2)};
      std::vector<float> decoded;
      std::string refusal;
      try {
        decoded = dequantize(layer.quantized(spec));
      } catch (const Unsupported& error) {
        refusal = error.what();
      }
      CHECK(all_finite(decoded));
      CHECK((refusal.empty() || refusal.find("are not whole blocks") != std::string::npos));
    }
  });
}

TEST_CASE("weights that are not finite are refused by every method") {
  for_each_spec([](const QuantizerInfo& method, const std::string& spec) {
    Layer layer{2, columns_for(method), normal_weights(std::size_t(2 * columns_for(method)), 4)};
    layer.weights[std::size_t(layer.k + 3)] = INFINITY;
    CHECK_THROWS_WITH_AS(layer.quantized(spec), doctest::Contains("weight [1, 3]"), DataError);
  });
}

TEST_CASE("more bits never make the error of the weights larger") {
  const Layer layer{16, 256, normal_weights(16 * 256, 5)};
  for (const QuantizerInfo& method : quantizers()) {
    if (method.quantize == nullptr || !method.types.empty()) continue;
    double before = INFINITY;
    for (int bits = method.min_bits; bits <= method.max_bits; ++bits) {
      const std::string spec = std::string(method.name).append(":w").append(std::to_string(bits));
      INFO(spec);
      const double now = layer.squared_error(spec);
      CHECK(now <= before);
      before = now;
    }
  }
}

TEST_CASE("no method that codes a row by 2^bits values has less error than the best table of the row") {
  const Layer layer{8, 256, normal_weights(8 * 256, 6)};
  for (const QuantizerInfo& method : quantizers()) {
    if (method.quantize == nullptr || !method.types.empty()) continue;
    for (int bits = std::max(method.min_bits, 2); bits <= method.max_bits; ++bits) {
      const std::string digits = std::to_string(bits);
      const PackedMatrix packed = layer.quantized(std::string(method.name).append(":w").append(digits));
      INFO(method.name, " ", to_text(packed.format));
      if (packed.format.sharing == Sharing::group) continue;  // has 2^bits values for each group
      const double best = layer.squared_error("kmeans:w" + digits + "@init=dp,per=channel");
      // Levels are rounded to float32: 6e-8 of weights of 0.2 at most, 2048 times, squared.
      const double rounding = 2048 * 1.5e-16;
      CHECK(best <= layer.squared_error(std::string(method.name).append(":w").append(digits)) + rounding);
    }
  }
}

TEST_CASE("codes of equal mass have all the entropy that their bits allow") {
  const Layer layer{4, 1024, normal_weights(4 * 1024, 7)};
  for (int bits = 2; bits <= 8; ++bits) {
    const PackedMatrix packed = layer.quantized("entropy:w" + std::to_string(bits));
    std::vector<double> counts(std::size_t(1) << bits, 0.0);
    const std::vector<std::uint8_t> codes = unpack_codes(packed);
    for (const std::uint8_t code : codes) ++counts[code];
    double entropy = 0;
    for (const double count : counts) entropy -= count / 4096 * std::log2(count / 4096);
    // A value that is drawn twice moves a boundary by one of the 16 or more values of a slice.
    CHECK(entropy == doctest::Approx(bits).epsilon(1e-3));
  }
}

}  // namespace qb
