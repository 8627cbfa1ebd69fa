#include "quantizers/range_search.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "kernels/base/random.h"
#include "tests/golden_json.h"

namespace qb {
namespace {

std::vector<float> sorted_magnitudes(std::vector<float> values) {
  for (float& value : values) value = std::abs(value);
  std::sort(values.begin(), values.end());
  return values;
}

double mean_squared_error(const std::vector<float>& values, const Grid& grid) {
  double sum = 0;
  for (const float value : values) sum += std::pow(double(value) - double(value_of(grid, code_of(grid, value))), 2);
  return sum / double(values.size());
}

}  // namespace

TEST_CASE("percentiles, the MSE grid and the KL clip agree with the golden calibrators") {
  const nlohmann::json file = golden("calib/calibrators.json");
  if (file.is_null()) return;
  for (const nlohmann::json& c : file["cases"]) {
    const std::string data = c["data"];
    INFO(data);
    const std::vector<float> values = floats_of(file["inputs"][data]);
    const std::vector<float> sorted = sorted_magnitudes(values);
    const double peak = c["absmax"];
    CHECK(double(sorted.back()) == peak);
    const Histogram histogram{peak / 2048, c["hist2048_abs"].get<std::vector<std::uint64_t>>()};
    for (const auto& [percent, wanted] : c["percentile_exact_linear"].items())
      CHECK(percentile(sorted, std::stod(percent)) == doctest::Approx(wanted.get<double>()).epsilon(1e-7));
    for (const auto& [percent, wanted] : c["percentile_histogram_edge"].items()) {
      INFO(percent);
      // The golden edges are float32: half a unit in the last place is 6e-8 of them.
      CHECK(percentile_clip(histogram, std::stod(percent), peak) ==
            doctest::Approx(wanted.get<double>()).epsilon(1e-7));
    }
    for (const auto& [bits, wanted] : c["mse_search"].items()) {
      INFO(bits, " bits");
      const double clip = mse_clip(values, std::stoi(bits), 2.0);
      CHECK(clip == doctest::Approx(wanted["clip_grid100"].get<double>()).epsilon(1e-12));
      // The golden scale is float64, ours float32: 6e-8 of each value, at 8 bits 2e-5 of its error.
      const double error = mean_squared_error(values, symmetric_grid(clip, std::stoi(bits)));
      CHECK(error == doctest::Approx(wanted["mse"].get<double>()).epsilon(1e-4));
      // Bin centres are off by at most half of 1/2048 of the peak: enough to move the choice, not to make it bad.
      const double coarse =
          mean_squared_error(values, symmetric_grid(mse_clip(histogram, peak, std::stoi(bits)), std::stoi(bits)));
      CHECK(coarse <= 1.05 * error);
    }
    CHECK(kl_clip(histogram, 128, peak) ==
          doctest::Approx(c["kl_clean_recommended"]["threshold"].get<double>()).epsilon(1e-12));
  }
}

TEST_CASE("the symmetric grid is the narrow one, ties go to even") {
  const Grid grid = symmetric_grid(7.0, 4);
  CHECK(grid.scale == 1.0f);
  CHECK(grid.low == -7);
  CHECK(grid.high == 7);
  CHECK(code_of(grid, 2.5f) == 2);
  CHECK(code_of(grid, 3.5f) == 4);
  CHECK(code_of(grid, -2.5f) == -2);
  CHECK(code_of(grid, 100.0f) == 7);
  CHECK(code_of(grid, -FLT_MAX) == -7);
}

TEST_CASE("the asymmetric grid holds zero exactly, whatever the range") {
  Random random(5);
  for (int round = 0; round < 2000; ++round) {
    const int bits = 2 + int(random.below(7));
    const Range range{random.uniform(-3, 3), random.uniform(-3, 3)};
    const Grid grid = asymmetric_grid({std::min(range.low, range.high), std::max(range.low, range.high)}, bits);
    REQUIRE(grid.zero >= grid.low);
    REQUIRE(grid.zero <= grid.high);
    REQUIRE(value_of(grid, code_of(grid, 0.0f)) == 0.0f);
    // Rounding of the zero point moves the ends by at most half a step, values by another half.
    const auto x =
        float(random.uniform(std::min({range.low, range.high, 0.0}), std::max({range.low, range.high, 0.0})));
    REQUIRE(std::abs(value_of(grid, code_of(grid, x)) - x) <= 1.0001f * grid.scale);
  }
  const Grid relu = asymmetric_grid({0.0, 25.5}, 8);
  CHECK(relu.zero == -128);
  CHECK(relu.scale == doctest::Approx(0.1));
}

TEST_CASE("empty, tiny and huge ranges give grids that can be divided by") {
  for (int bits = 2; bits <= 8; ++bits) {
    for (const double peak : {0.0, double(FLT_TRUE_MIN), double(FLT_MIN), 1e-40, double(FLT_MAX)}) {
      for (const Grid& grid : {symmetric_grid(peak, bits), asymmetric_grid({-peak, peak}, bits),
                               asymmetric_grid({0, peak}, bits), asymmetric_grid({-peak, 0}, bits)}) {
        INFO(bits, " bits, peak ", peak);
        CHECK(grid.scale >= FLT_MIN);
        CHECK(std::isfinite(grid.scale));
        for (const float value : {0.0f, float(peak), -float(peak)}) {
          const std::int32_t code = code_of(grid, value);
          CHECK(code >= grid.low);
          CHECK(code <= grid.high);
        }
        CHECK(code_of(grid, 0.0f) == grid.zero);
      }
    }
  }
}

TEST_CASE("the MSE range is never worse than the whole range") {
  Random random(9);
  for (int round = 0; round < 50; ++round) {
    std::vector<float> values(300);
    for (float& value : values) value = float(std::exp(random.normal()) * (random.below(4) == 0 ? -1 : 1));
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    const double peak = double(std::max(-*low, *high));
    for (const int bits : {2, 3, 4, 8}) {
      CHECK(mean_squared_error(values, symmetric_grid(mse_clip(values, bits, 2), bits)) <=
            mean_squared_error(values, symmetric_grid(peak, bits)));
      CHECK(mean_squared_error(values, asymmetric_grid(mse_range(values, bits, 2), bits)) <=
            mean_squared_error(values, asymmetric_grid({double(*low), double(*high)}, bits)));
    }
  }
}

TEST_CASE("histograms without content give the peak, not nonsense") {
  const Histogram empty{1.0, std::vector<std::uint64_t>(4096, 0)};
  CHECK(kl_clip(empty, 128, 0.0) == 0.0);
  CHECK(percentile_clip(empty, 99.9, 0.0) == 0.0);
  CHECK(mse_clip(empty, 0.0, 8) == 0.0);
  Histogram single = empty;
  single.counts[3000] = 7;
  CHECK(kl_clip(single, 128, 3000.5) == 3000.5);
  CHECK(percentile_clip(single, 99.9, 3000.5) == 3000.0);
}

}  // namespace qb
