#include "quantizers/calibration.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>

#include "kernels/base/random.h"

namespace qb {
namespace {

std::vector<float> activations(std::size_t count, double size, bool relu, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    value = float(size * random.normal());
    if (relu) value = std::max(value, 0.0f);
  }
  return values;
}

ActivationStatistics seen(const std::vector<float>& values) {
  ActivationStatistics statistics;
  add_values(statistics.values, values);
  add_batch(statistics.average, values, 0.1);
  return statistics;
}

bool equal(const ValueStatistics& a, const ValueStatistics& b) {
  return a.count == b.count && a.zeros == b.zeros && a.not_finite == b.not_finite && a.low == b.low &&
         a.high == b.high && a.exponent == b.exponent && a.negative == b.negative && a.positive == b.positive;
}

double mean_squared_error(const std::vector<float>& values, const ActivationQuant& quant, bool symmetric) {
  const std::int32_t top = (1 << (quant.bits - 1)) - 1;
  const Grid grid{quant.scale, quant.zero, symmetric ? -top : -top - 1, top};
  double sum = 0;
  for (const float value : values) sum += std::pow(double(value) - double(value_of(grid, code_of(grid, value))), 2);
  return sum / double(values.size());
}

constexpr std::array kActs = {"minmax", "average", "percentile",  "mse",           "kl",       "aciq",
                              "octav",  "entropy", "kl-modelopt", "kl-paddleslim", "kl-mxnet", "kl-ort"};

/// Thousands of candidates over 8001 bins; 8 bits is what it is for.
bool is_slow(std::string_view act) { return act == "kl-mxnet"; }

QuantSpec static_spec(const std::string& act, int bits, bool asym) {
  return parse_quant_spec("rtn:w8a" + std::to_string(bits) + "@mode=static,act=" + act + ",asym=" + (asym ? "1" : "0"));
}

}  // namespace

TEST_CASE("shards of a stream merge exactly, in any order, however their sizes differ") {
  std::vector<std::vector<float>> shards;
  for (const double size : {1e-3, 5.0, 0.2, 1e4, 1e-30, 1.0})
    shards.push_back(activations(500, size, size > 0.5, shards.size() + 1));
  shards.push_back({});
  shards.push_back({0.0f, 0.0f});
  shards.push_back({FLT_MAX, -FLT_TRUE_MIN, NAN, INFINITY});
  ValueStatistics whole;
  for (const auto& shard : shards) add_values(whole, shard);
  Random random(1);
  for (int round = 0; round < 20; ++round) {
    INFO("round ", round);
    shuffle(std::span(shards), random);
    ValueStatistics merged, left, right;
    for (std::size_t i = 0; i < shards.size(); ++i) add_values(i % 2 ? left : right, shards[i]);
    merge(merged, left);
    merge(merged, right);
    CHECK(equal(merged, whole));
  }
  CHECK(whole.not_finite == 2);
}

TEST_CASE("counts are what they say") {
  ValueStatistics statistics;
  add_values(statistics, std::array{-3.0f, 0.0f, 1.5f, -0.0f, 4095.0f});
  CHECK(statistics.count == 5);
  CHECK(statistics.zeros == 2);
  CHECK(statistics.low == -3.0f);
  CHECK(statistics.high == 4095.0f);
  CHECK(statistics.exponent == 0);
  CHECK(statistics.negative[3] == 1);
  CHECK(statistics.positive[1] == 1);
  CHECK(statistics.positive[4095] == 1);
  add_values(statistics, std::array{4096.0f});
  CHECK(statistics.exponent == 1);
  CHECK(statistics.negative[1] == 1);
  CHECK(statistics.positive[0] == 1);
  CHECK(statistics.positive[2047] == 1);
  CHECK(statistics.positive[2048] == 1);
  const Histogram both = magnitudes(statistics, true);
  CHECK(both.width == 2.0);
  CHECK(both.counts[0] == 3);
}

TEST_CASE("the moving average begins with the first batch and follows slowly") {
  MovingRange range;
  add_batch(range, std::array{-1.0f, 2.0f}, 0.1);
  CHECK(range.low == -1.0);
  CHECK(range.high == 2.0);
  add_batch(range, std::array{-2.0f, 12.0f}, 0.1);
  CHECK(range.low == doctest::Approx(-1.1));
  CHECK(range.high == doctest::Approx(3.0));
}

TEST_CASE("every chooser gives a grid within what was seen, for one-sided and two-sided values") {
  for (const bool relu : {false, true}) {
    const std::vector<float> values = activations(20000, 2.0, relu, 3);
    const ActivationStatistics statistics = seen(values);
    const double peak = std::max(std::abs(double(statistics.values.low)), double(statistics.values.high));
    for (const std::string act : kActs) {
      for (int bits = 2; bits <= 8; ++bits) {
        INFO(act, " bits=", bits, " relu=", relu);
        if (is_slow(act) && bits != 8) continue;
        const ActivationQuant symmetric = choose_activation(statistics, static_spec(act, bits, false));
        CHECK(symmetric.is_static);
        CHECK(symmetric.zero == 0);
        CHECK(symmetric.scale > 0);
        CHECK(double(symmetric.scale) * ((1 << (bits - 1)) - 1) <= peak * (1 + 1e-6));
        const ActivationQuant asymmetric = choose_activation(statistics, static_spec(act, bits, true));
        CHECK(asymmetric.zero >= -(1 << (bits - 1)));
        CHECK(asymmetric.zero <= (1 << (bits - 1)) - 1);
        if (relu) CHECK(asymmetric.zero == -(1 << (bits - 1)));
        CHECK(double(asymmetric.scale) * ((1 << bits) - 1) <= 2 * peak * (1 + 1e-6));
      }
    }
  }
}

TEST_CASE("a zero point halves the step after ReLU") {
  const std::vector<float> values = activations(20000, 2.0, true, 3);
  const double symmetric =
      mean_squared_error(values, choose_activation(seen(values), static_spec("minmax", 8, false)), true);
  const double asymmetric =
      mean_squared_error(values, choose_activation(seen(values), static_spec("minmax", 8, true)), false);
  // Steps of absmax/127 and absmax/255: a ratio of about 4 in squared error, less what sits on the ends.
  CHECK(symmetric / asymmetric > 3.5);
  CHECK(symmetric / asymmetric < 4.5);
}

TEST_CASE("the MSE range is best or nearly so, at every width") {
  for (const bool relu : {false, true}) {
    std::vector<float> values = activations(20000, 1.0, relu, 5);
    for (std::size_t i = 0; i < values.size(); i += 1000) values[i] = float(20 + i % 7);  // outliers
    for (int bits = 2; bits <= 8; ++bits) {
      for (const bool asym : {false, true}) {
        const double mse =
            mean_squared_error(values, choose_activation(seen(values), static_spec("mse", bits, asym)), !asym);
        for (const std::string act : kActs) {
          INFO(act, " bits=", bits, " asym=", asym, " relu=", relu);
          if (is_slow(act) && bits != 8) continue;
          // Bins of 1/2048 of the peak and clips of whole percents: the best clip lies between two candidates, which at
          // narrow widths, where the error is flat, costs a percent and at 8 bits, where it is steep, at most a few.
          CHECK(mse <= 1.05 * mean_squared_error(values, choose_activation(seen(values), static_spec(act, bits, asym)),
                                                 !asym));
        }
      }
    }
  }
}

TEST_CASE("the MSE range heeds the exponent of the error") {
  std::vector<float> values = activations(20000, 1.0, false, 8);
  for (std::size_t i = 0; i < values.size(); i += 1000) values[i] = float(20 + i % 7);
  const auto chosen = [&](const std::string& norm, bool asym) {
    return choose_activation(seen(values), parse_quant_spec("rtn:w8a4@mode=static,act=mse,act_norm=" + norm +
                                                            ",asym=" + (asym ? "1" : "0")));
  };
  const auto error = [&](float scale, double norm) {
    const Grid grid{scale, 0, -7, 7};
    double sum = 0;
    for (const float value : values)
      sum += std::pow(std::abs(double(value) - double(value_of(grid, code_of(grid, value)))), norm);
    return sum;
  };
  for (const bool asym : {false, true}) {
    INFO("asym=", asym);
    CHECK(chosen("1", asym).scale < chosen("2", asym).scale);
    CHECK(chosen("2", asym).scale < chosen("4", asym).scale);
  }
  CHECK(parse_quant_spec("rtn:w8a4@mode=static,act=mse,act_norm=2").options.count("act_norm") == 0);
  CHECK_THROWS_AS(parse_quant_spec("rtn:w8a4@mode=static,act_norm=3"), InputError);
  // The clips that the search tries, on the values themselves: bins of 1/2048 of the peak move an error by little.
  for (const std::string norm : {"1", "1.5", "2.4", "4"}) {
    double least = INFINITY;
    for (int percent = 1; percent <= 100; ++percent)
      least = std::min(least, error(symmetric_grid(26.0 * percent / 100, 4).scale, std::stod(norm)));
    INFO("norm ", norm);
    CHECK(error(chosen(norm, false).scale, std::stod(norm)) <= 1.01 * least);
  }
}

TEST_CASE("percentiles leave half of the rest beyond each end") {
  std::vector<float> values;
  for (int i = 1; i <= 10000; ++i) values.push_back(float(i) * 0.01f);    // up to 100
  for (int i = 1; i <= 10000; ++i) values.push_back(float(i) * -0.005f);  // down to -50
  const QuantSpec spec = parse_quant_spec("rtn:w8a8@mode=static,act=percentile,act_percentile=90,asym=1");
  const ActivationQuant quant = choose_activation(seen(values), spec);
  // 5 percent of 20000 values beyond each end: 90 and -45, to within one bin of 100/3200 and one half step of the zero
  // point.
  CHECK(double(quant.scale) * 255 == doctest::Approx(135).epsilon(0.001));
  CHECK(-45 / double(quant.scale) == doctest::Approx(-128 - quant.zero).epsilon(0.01));
}

TEST_CASE("values that never differ from zero give a grid all the same") {
  for (const std::string act : kActs)
    for (const bool asym : {false, true}) {
      const ActivationQuant quant = choose_activation(seen({0.0f, 0.0f}), static_spec(act, 8, asym));
      CHECK(quant.scale == 1.0f);
    }
}

}  // namespace qb
