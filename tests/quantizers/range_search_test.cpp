#include "quantizers/range_search.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <numeric>

#include "kernels/base/random.h"
#include "quantizers/clip_formulas.h"
#include "quantizers/kl_variants.h"
#include "quantizers/weight_grid.h"
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

/// As numpy counts float32 values: edges are rounded to float32, the last bin includes its right one.
CentredHistogram centred(const std::vector<float>& values, double peak, std::size_t bins) {
  CentredHistogram histogram{peak, std::vector<std::uint64_t>(bins, 0)};
  const auto edge = [&](std::size_t i) { return float(histogram.edge(i)); };
  for (const float value : values) {
    std::size_t bin = std::min(std::size_t((double(value) + peak) / histogram.width()), bins - 1);
    if (value < edge(bin)) --bin;
    if (bin + 1 < bins && value >= edge(bin + 1)) ++bin;
    ++histogram.counts[bin];
  }
  return histogram;
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

TEST_CASE("ACIQ, OCTAV and the published KL variants agree with the golden calibrators") {
  const nlohmann::json file = golden("calib/calibrators.json");
  if (file.is_null()) return;
  for (const nlohmann::json& c : file["cases"]) {
    const std::string data = c["data"];
    INFO(data);
    const std::vector<float> values = floats_of(file["inputs"][data]);
    const double peak = c["absmax"];
    const Histogram magnitudes{peak / 2048, c["hist2048_abs"].get<std::vector<std::uint64_t>>()};
    const Moments moments = moments_of(values);
    for (const auto& [text, wanted] : c["mse_search"].items()) {
      const int bits = std::stoi(text);
      INFO(bits, " bits");
      // Sums of 20000 float64 terms in another order: 1e-12 is generous.
      CHECK(aciq_clip(moments, Prior::gauss, bits) ==
            doctest::Approx(wanted["aciq_gauss_clip"].get<double>()).epsilon(1e-9));
      CHECK(aciq_clip(moments, Prior::laplace, bits) ==
            doctest::Approx(wanted["aciq_laplace_clip"].get<double>()).epsilon(1e-9));
      // The golden iteration stops at a relative step of 1e-6; the last steps shrink at least by halves.
      CHECK(octav_clip(values, bits) == doctest::Approx(wanted["octav_signed_clip"].get<double>()).epsilon(2e-6));
    }
    // Edges of the histograms were computed in float32: half a unit in the last place is 6e-8 of the peak.
    const auto close = [](double wanted) { return doctest::Approx(wanted).epsilon(2e-7); };
    CHECK(kl_clip_modelopt(magnitudes, 128, peak) == close(c["kl_modelopt_8bit_signed"].get<double>()));
    CHECK(kl_clip_paddleslim(magnitudes, 127, peak) == close(c["kl_paddleslim_8bit"].get<double>()));
    CHECK(kl_clip_mxnet(centred(values, peak, 8001), 255) == close(c["kl_mxnet_8001_255"]["threshold"].get<double>()));
    for (const auto& [name, bins] : {std::pair{"kl_ort_default_128_128", 128}, {"kl_ort_2048_128", 2048}}) {
      INFO(name);
      const Range range = kl_range_ort(centred(values, peak, std::size_t(bins)), 128);
      CHECK(range.low == close(c[name]["low"].get<double>()));
      CHECK(range.high == close(c[name]["high"].get<double>()));
    }
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

TEST_CASE("OCTAV and ACIQ come near the least squared error of what they assume") {
  Random random(21);
  std::vector<float> gauss(20000), laplace(20000), half(20000);
  for (std::size_t i = 0; i < gauss.size(); ++i) {
    gauss[i] = float(random.normal());
    laplace[i] = float(-std::log(random.uniform(1e-12, 1.0)) * (random.below(2) == 0 ? -1 : 1));
    half[i] = std::abs(gauss[i]);
  }
  // At 2 bits three codes serve where the formulas count four; at 6 and 8 a few values of the tail decide.
  for (const int bits : {3, 4}) {
    INFO(bits, " bits");
    const auto error = [&](const std::vector<float>& values, double clip) {
      return mean_squared_error(values, symmetric_grid(clip, bits));
    };
    // Both minimise clipping plus the noise of 2^bits steps over the range, where the grid has 2^bits - 2: no clip gets
    // more wrong by that than the ratio of the two noises.
    const double codes = std::pow(2.0, bits), slack = std::pow(codes / (codes - 2), 2);
    CHECK(error(gauss, octav_clip(gauss, bits)) <= slack * error(gauss, mse_clip(gauss, bits, 2)));
    CHECK(error(laplace, octav_clip(laplace, bits)) <= slack * error(laplace, mse_clip(laplace, bits, 2)));
    CHECK(error(gauss, aciq_clip(moments_of(gauss), Prior::gauss, bits)) <=
          slack * error(gauss, mse_clip(gauss, bits, 2)));
    CHECK(error(laplace, aciq_clip(moments_of(laplace), Prior::laplace, bits)) <=
          slack * error(laplace, mse_clip(laplace, bits, 2)));
    // One more code bit for values of one sign: a wider clip.
    CHECK(octav_clip(half, bits, true) > octav_clip(half, bits));
    // The paper's formula is least at the paper's clip, up to the two decimals of its table.
    for (const Prior prior : {Prior::gauss, Prior::laplace}) {
      const Moments moments = moments_of(prior == Prior::gauss ? gauss : laplace);
      const double clip = aciq_clip(moments, prior, bits);
      for (const double factor : {0.9, 1.1})
        CHECK(aciq_error(moments, prior, bits, clip) < aciq_error(moments, prior, bits, factor * clip));
    }
  }
}

TEST_CASE("ranges of weights follow the formulas that a spec names") {
  Random random(25);
  std::vector<float> values(4096);
  for (float& value : values) value = float(random.normal());
  for (const int bits : {3, 4, 8}) {
    INFO(bits, " bits");
    const auto error = [&](const std::string& range, const std::string& grid) {
      const QuantSpec spec = parse_quant_spec("rtn:w" + std::to_string(bits) + "@grid=" + grid + ",range=" + range);
      return mean_squared_error(values, fit_grid(weight_grid(spec), values));
    };
    const auto symmetric = [&](double clip) { return mean_squared_error(values, symmetric_grid(clip, bits)); };
    CHECK(error("octav", "sym") == symmetric(octav_clip(values, bits)));
    CHECK(error("entropy", "sym") == symmetric(entropy_clip(values, bits, 1)));
    for (const std::string grid : {"sym", "asym"})
      for (const std::string range : {"aciq", "octav"}) {
        INFO(range, " ", grid);
        // The order at low bits that the papers report: clipping helps; at 8 bits all are within the grid's own slack.
        if (bits <= 4) CHECK(error(range, grid) < error("minmax", grid));
        CHECK(error("mse", grid) <= 1.01 * error(range, grid));
      }
  }
}

TEST_CASE("the entropy of codes grows where clipping evens them out, and the penalty holds it back") {
  Random random(22);
  std::vector<float> values(8000);
  for (float& value : values) value = float(random.normal());
  const double peak = double(std::abs(
      *std::max_element(values.begin(), values.end(), [](float a, float b) { return std::abs(a) < std::abs(b); })));
  const auto entropy = [&](double clip, int bits) {
    const Grid grid = symmetric_grid(clip, bits);
    std::vector<double> used(256, 0);
    for (const float value : values) ++used[std::size_t(code_of(grid, value) - grid.low)];
    double sum = 0;
    for (const double count : used)
      if (count > 0) sum -= count / double(values.size()) * std::log2(count / double(values.size()));
    return sum;
  };
  for (const int bits : {2, 3, 4, 8}) {
    INFO(bits, " bits");
    const double free = entropy_clip(values, bits, 0), held = entropy_clip(values, bits, 1);
    CHECK(free <= held);
    CHECK(entropy(free, bits) >= entropy(held, bits));
    for (int i = 1; i <= 100; ++i) CHECK(entropy(free, bits) >= entropy(peak * i / 100, bits));
    CHECK(mean_squared_error(values, symmetric_grid(held, bits)) <=
          mean_squared_error(values, symmetric_grid(free, bits)));
  }
}

TEST_CASE("formulas on histograms follow those on values") {
  Random random(23);
  std::vector<float> values(20000);
  for (float& value : values) value = std::max(0.0f, float(random.normal()));
  values[0] = -0.5f;
  Histogram negative{0x1p-9, std::vector<std::uint64_t>(4096, 0)}, positive = negative;
  std::uint64_t zeros = 0;
  double peak = 0;
  for (const float value : values) {
    peak = std::max(peak, double(std::abs(value)));
    if (value == 0)
      ++zeros;
    else
      ++(value < 0 ? negative : positive).counts[std::size_t(std::abs(double(value)) * 0x1p9)];
  }
  const Moments exact = moments_of(values), coarse = moments_of(negative, positive, zeros);
  // Centres are off by at most half a bin, 2^-10.
  CHECK(std::abs(exact.mean - coarse.mean) <= 0x1p-10);
  CHECK(std::abs(exact.deviation - coarse.deviation) <= 0x1p-9);
  CHECK(std::abs(exact.absolute_deviation - coarse.absolute_deviation) <= 0x1p-9);
  Histogram magnitudes = positive;
  magnitudes.counts[256] += 1;  // -0.5
  magnitudes.counts[0] += zeros;
  for (const int bits : {2, 4, 8}) {
    // Zeros stand at the centre of bin 0 there; the fixed point moves less than its sums do.
    CHECK(octav_clip(magnitudes, peak, bits) == doctest::Approx(octav_clip(values, bits)).epsilon(0.01));
    CHECK(entropy_clip(negative, positive, zeros, peak, bits, 1) ==
          doctest::Approx(entropy_clip(values, bits, 1)).epsilon(0.05));
  }
}

TEST_CASE("coarser bins keep every count") {
  Random random(24);
  Histogram fine{0x1p-9, std::vector<std::uint64_t>(4096)};
  std::uint64_t total = 0;
  for (std::uint64_t& count : fine.counts) total += count = random.below(5);
  const auto sum = [](const std::vector<std::uint64_t>& counts) {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  };
  for (const std::size_t bins : {std::size_t(128), std::size_t(2048), std::size_t(8001)}) {
    const Histogram coarse = rebinned(fine, 7.9, bins);
    CHECK(coarse.counts.size() == bins);
    CHECK(coarse.width * double(bins) == doctest::Approx(7.9));
    CHECK(sum(coarse.counts) == total);
    CHECK(sum(rebinned(fine, fine, 17, 7.9, bins).counts) == 2 * total + 17);
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
  const CentredHistogram nothing{2.0, std::vector<std::uint64_t>(8001, 0)};
  CHECK(kl_clip_mxnet(nothing, 255) == doctest::Approx(2.0));
  CHECK(kl_range_ort(nothing, 128).high == doctest::Approx(2.0));
  CHECK(kl_clip_modelopt(empty, 128, 2.0) == 2.0);
  CHECK(kl_clip_paddleslim(empty, 127, 2.0) <= 2.0);
  CHECK(octav_clip(empty, 0.0, 8) == 0.0);
  CHECK(octav_clip(std::vector<float>(5, 0.0f), 8) == 0.0);
  CHECK(octav_clip(std::vector<float>(5, -2.0f), 8) == doctest::Approx(2.0));
  CHECK(aciq_clip(moments_of(std::vector<float>{}), Prior::gauss, 8) == 0.0);
  CHECK(entropy_clip(std::vector<float>(5, 0.0f), 8, 1) == 0.0);
}

}  // namespace qb
