// Levels that are optimal for a known distribution: against published tables, closed forms and samples.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <numbers>

#include "quantizers/codebook.h"
#include "quantizers/lloyd_levels.h"
#include "tests/golden_json.h"
#include "tests/quantizers/one_layer.h"

namespace qb {
namespace {

/// The density itself, both sides.
double density(Prior prior, double x) {
  return prior == Prior::gauss ? std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi)
                               : std::exp(-std::numbers::sqrt2 * std::abs(x)) / std::numbers::sqrt2;
}

/// The integral of x^power f(x) between two points, by Simpson's rule on steps of 1/4096 or less: its error is of the
/// order of 1e-15.
double integral(Prior prior, int power, double begin, double end) {
  const int steps = 2 * std::max(2, int(std::ceil((end - begin) * 2048)));
  const double width = (end - begin) / steps;
  double sum = 0;
  for (int i = 0; i <= steps; ++i) {
    const double x = begin + width * i, weight = i == 0 || i == steps ? 1 : i % 2 == 1 ? 4 : 2;
    sum += weight * std::pow(x, power) * density(prior, x);
  }
  return sum * width / 3;
}

constexpr double kFar = 40;  // beyond lies less than 1e-24 of either density

/// The expected squared error of values that take their nearest level.
double expected_error(Prior prior, const std::vector<double>& levels) {
  double error = 0, begin = 0;
  for (std::size_t i = levels.size() / 2; i < levels.size(); ++i) {
    const double end = i + 1 < levels.size() ? (levels[i] + levels[i + 1]) / 2 : kFar;
    error += integral(prior, 2, begin, end) - 2 * levels[i] * integral(prior, 1, begin, end) +
             levels[i] * levels[i] * integral(prior, 0, begin, end);
    begin = end;
  }
  return 2 * error;
}

/// Laplace's density forgets where it begins: the last level lies 1/sqrt(2) beyond its boundary, and from there each
/// cell follows from the one behind it. With a unit of 1/sqrt(2): a level is d before the boundary behind it, its cell
/// is w long with d = w - 1 + w / (e^w - 1).
std::vector<double> laplace_levels(int bits) {
  const int count = 1 << (bits - 1);
  std::vector<double> from_last;  // distances of levels from the last boundary, in this unit; negative below it
  double boundary = 0, gap = 1;
  from_last.push_back(gap);
  double begin = 0;
  for (int i = 1; i < count; ++i) {
    double low = 0, high = 100;
    for (int step = 0; step < 200; ++step) {
      const double w = (low + high) / 2;
      (w - 1 + w / std::expm1(w) < gap ? low : high) = w;
    }
    from_last.push_back(boundary - gap);
    boundary -= low;
    gap = low - gap;
    begin = boundary;
  }
  // The first cell begins at zero.
  std::vector<double> levels;
  for (int i = count; i-- > 0;) levels.push_back((from_last[std::size_t(i)] - begin) / std::numbers::sqrt2);
  return levels;
}

}  // namespace

TEST_CASE("levels for normal values are those of Max's table and of the golden file") {
  // Table I, to the digits that it prints.
  const std::array<double, 8> sixteen = {0.1284, 0.3881, 0.6568, 0.9424, 1.256, 1.618, 2.069, 2.733};
  const std::array<double, 4> eight = {0.2451, 0.7560, 1.344, 2.152};
  const std::array<double, 2> four = {0.4528, 1.510};
  const auto check = [](const auto& table, int bits) {
    const std::vector<double> levels = lloyd_levels(Prior::gauss, bits);
    REQUIRE(levels.size() == 2 * table.size());
    for (std::size_t i = 0; i < table.size(); ++i) {
      CHECK(levels[table.size() + i] == doctest::Approx(table[i]).epsilon(0.0005));
      CHECK(levels[table.size() - 1 - i] == -levels[table.size() + i]);
    }
  };
  check(four, 2);
  check(eight, 3);
  check(sixteen, 4);
  const nlohmann::json file = golden("codebook/codebooks.json");
  if (file.is_null()) return;
  for (const auto& [bits, wanted] : file["lloyd_max_gaussian"].items()) {
    const std::vector<double> levels = lloyd_levels(Prior::gauss, std::stoi(bits)), theirs = wanted["levels"];
    REQUIRE(levels.size() == theirs.size());
    // They stopped when levels moved by less than about 1e-9 a step.
    for (std::size_t i = 0; i < levels.size(); ++i) CHECK(std::abs(levels[i] - theirs[i]) < 1e-6);
    CHECK(expected_error(Prior::gauss, levels) == doctest::Approx(wanted["mse"].get<double>()).epsilon(1e-9));
  }
}

TEST_CASE("levels for Laplace values follow from the last one") {
  for (int bits = 1; bits <= 8; ++bits) {
    const std::vector<double> levels = lloyd_levels(Prior::laplace, bits), wanted = laplace_levels(bits);
    INFO("bits ", bits);
    REQUIRE(levels.size() == 2 * wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i)
      CHECK(std::abs(levels[wanted.size() + i] - wanted[i]) < 1e-9 * (1 + wanted[i]));
  }
  CHECK(expected_error(Prior::laplace, lloyd_levels(Prior::laplace, 1)) == doctest::Approx(0.5));
}

TEST_CASE("each level is the mean of its values, and many have the error of Panter and Dite") {
  for (const Prior prior : {Prior::gauss, Prior::laplace})
    for (int bits = 1; bits <= 8; ++bits) {
      INFO(std::string(prior == Prior::gauss ? "gauss" : "laplace"), " ", bits);
      const std::vector<double> levels = lloyd_levels(prior, bits);
      double begin = 0;
      for (std::size_t i = levels.size() / 2; i < levels.size(); ++i) {
        const double end = i + 1 < levels.size() ? (levels[i] + levels[i + 1]) / 2 : kFar;
        const double mean = integral(prior, 1, begin, end) / integral(prior, 0, begin, end);
        CHECK(levels[i] == doctest::Approx(mean).epsilon(1e-9));
        begin = end;
      }
    }
  // The cube of the integral of f^(1/3), over 12 for each squared level: sqrt(3) pi / 2 and 9 / 2 at variance 1.
  const double many = 256.0 * 256.0;
  CHECK(expected_error(Prior::gauss, lloyd_levels(Prior::gauss, 8)) * many ==
        doctest::Approx(std::sqrt(3.0) * std::numbers::pi / 2).epsilon(0.02));
  CHECK(expected_error(Prior::laplace, lloyd_levels(Prior::laplace, 8)) * many == doctest::Approx(4.5).epsilon(0.02));
}

namespace {

Layer drawn_layer(Prior prior, double size, double middle, std::uint64_t seed) {
  Random random(seed);
  Layer layer{64, 512, {}, {}};
  for (std::int64_t i = 0; i < layer.n * layer.k; ++i) {
    double value = random.normal();
    if (prior == Prior::laplace)
      value = -std::log(1 - random.uniform(0, 1)) / std::numbers::sqrt2 * (random.uniform(0, 1) < 0.5 ? -1 : 1);
    layer.weights.push_back(float(size * value + middle));
  }
  return layer;
}

double relative_error(const Layer& layer, const std::string& spec, double size) {
  const std::vector<float> decoded = dequantize(layer.quantized(spec));
  double error = 0;
  for (std::size_t i = 0; i < decoded.size(); ++i) error += std::pow(double(decoded[i]) - double(layer.weights[i]), 2);
  return error / (size * size * double(decoded.size()));
}

}  // namespace

TEST_CASE("weights of the distribution have the error that it promises, wherever they lie") {
  constexpr double kSize = 0.02, kMiddle = 0.3;
  for (const Prior prior : {Prior::gauss, Prior::laplace}) {
    const std::string name = prior == Prior::gauss ? "gauss" : "laplace";
    const Layer layer = drawn_layer(prior, kSize, kMiddle, 3);
    for (const int bits : {2, 3, 4, 6}) {
      INFO(name, " ", bits);
      const std::string w = std::string(1, 'w').append(std::to_string(bits));
      const double wanted = expected_error(prior, lloyd_levels(prior, bits));
      const double found = relative_error(layer, spec_of("lloyd", w, {"prior=" + name}), kSize);
      // 32768 weights: squared errors scatter by about 1 % of their mean, that of Laplace's far cells by more.
      CHECK(found == doctest::Approx(wanted).epsilon(prior == Prior::gauss ? 0.03 : 0.06));
      CHECK(relative_error(layer, spec_of("lloyd", w, {"prior=" + name, "fit=mse"}), kSize) <= found * (1 + 1e-6));
      CHECK(relative_error(layer, spec_of("lloyd", w, {"prior=best", "fit=mse"}), kSize) <= found * (1 + 1e-6));
      // The optimum for the very weights cannot be worse. It gains by the far levels, which few weights need: up to a
      // quarter for Laplace's long ends at 6 bits.
      const double optimum = relative_error(layer, spec_of("kmeans", w, {"init=dp"}), kSize);
      CHECK(optimum <= found * (1 + 1e-6));
      CHECK(optimum >= (prior == Prior::gauss ? 0.9 : 0.75) * found);
    }
  }
}

TEST_CASE("groups carry a scale and an offset each, and rows and tensors a table") {
  Layer layer = drawn_layer(Prior::gauss, 1, 0, 4);
  for (std::size_t i = 0; i < layer.weights.size(); ++i)
    layer.weights[i] = layer.weights[i] * float(1 + i / 64 % 5) + float(i / 64 % 3);
  const std::pair<const char*, const char*> formats[] = {{"lloyd:w4", "t4t"},
                                                         {"lloyd:w8@per=channel", "t8c"},
                                                         {"lloyd:w3g64", "t3g64o"},
                                                         {"lloyd:w2g64@scale=f16", "t2g64o.f16"}};
  for (const auto& [spec, format] : formats) CHECK(to_text(layer.quantized(spec).format) == format);
  // Groups of 64 know their own place and size, which the whole does not: the error is near that of one distribution.
  const double groups = relative_error(layer, "lloyd:w4g64", 1), whole = relative_error(layer, "lloyd:w4", 1);
  CHECK(groups < 0.8 * whole);
  CHECK(relative_error(layer, "lloyd:w4g64@fit=mse", 1) <= groups);
  CHECK(relative_error(layer, "lloyd:w4g64@scale=f16", 1) == doctest::Approx(groups).epsilon(0.02));
  CHECK_THROWS_AS(layer.quantized("lloyd:w4@scale=f16"), InputError);
}

TEST_CASE("constant, huge and tiny weights end in finite ones") {
  for (const float size : {0.0f, 1.0f, 3e38f, 1e-40f}) {
    Layer layer{4, 64, std::vector<float>(256, size), {}};
    for (const char* spec : {"lloyd:w4", "lloyd:w4g16", "lloyd:w2@per=channel,prior=best", "lloyd:w8g16@fit=mse"}) {
      INFO(spec, " ", size);
      const std::vector<float> same = dequantize(layer.quantized(spec));
      for (const float value : same) CHECK(double(value) == doctest::Approx(double(size)).epsilon(1e-6));
      Layer mixed = layer;
      for (std::size_t i = 0; i < mixed.weights.size(); i += 2) mixed.weights[i] = -size;
      for (const float value : dequantize(mixed.quantized(spec))) CHECK(std::isfinite(value));
    }
  }
}

}  // namespace qb
