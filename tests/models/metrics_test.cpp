#include "models/metrics.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/base/files.h"
#include "kernels/base/json.h"
#include "tests/shared_data.h"

namespace qb {
namespace {

using doctest::Approx;

std::vector<float> floats_of_hex(const std::string& hex) {
  std::vector<float> values(hex.size() / 8);
  for (std::size_t i = 0; i < values.size(); ++i) {
    unsigned char bytes[4];
    for (std::size_t b = 0; b < 4; ++b)
      bytes[b] = static_cast<unsigned char>(std::stoi(hex.substr(8 * i + 2 * b, 2), nullptr, 16));
    std::memcpy(&values[i], bytes, 4);
  }
  return values;
}

TEST_CASE("perplexity, KL divergence and agreement of the golden logits") {
  const std::filesystem::path path = shared_path("golden/metrics/perplexity_kld.json");
  if (path.empty()) return;
  const Json golden = Json::parse(read_file(path));
  const std::vector<float> base = floats_of_hex(golden.at("base_logits_f32_hex")),
                           quant = floats_of_hex(golden.at("quant_logits_f32_hex"));
  const auto targets = golden.at("target").get<std::vector<std::int32_t>>();
  const std::size_t vocabulary = golden.at("vocab");
  std::vector<double> base_likelihood, likelihood;
  double kl_sum = 0, kl_most = 0;
  std::size_t same = 0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const auto p = std::span(base).subspan(i * vocabulary, vocabulary),
               q = std::span(quant).subspan(i * vocabulary, vocabulary);
    const ItemScore in_float = score_item(p, targets[i], ScoreKind::logits),
                    quantized = score_item(q, targets[i], ScoreKind::logits);
    base_likelihood.push_back(in_float.log_likelihood);
    likelihood.push_back(quantized.log_likelihood);
    same += in_float.top1 == quantized.top1;
    const double kl = kl_divergence(log_probabilities(p, ScoreKind::logits), log_probabilities(q, ScoreKind::logits));
    kl_sum += kl;
    kl_most = std::max(kl_most, kl);
  }
  // Both sides work in float64; 1e-9 leaves room for their different orders of summation.
  CHECK(perplexity(likelihood).value == Approx(golden.at("ppl").get<double>()).epsilon(1e-9));
  CHECK(perplexity(likelihood).error == Approx(golden.at("ppl_unc").get<double>()).epsilon(1e-9));
  CHECK(perplexity(base_likelihood).value == Approx(golden.at("ppl_base").get<double>()).epsilon(1e-9));
  CHECK(kl_sum / double(targets.size()) == Approx(golden.at("mean_kld").get<double>()).epsilon(1e-9));
  CHECK(kl_most == Approx(golden.at("kld_max").get<double>()).epsilon(1e-9));
  CHECK(double(same) / double(targets.size()) == golden.at("same_top").get<double>());
}

TEST_CASE("signal to noise and cosine") {
  const std::vector<float> x = {3, 4}, half = {1.5f, 2}, zero = {0, 0}, across = {4, -3};
  CHECK(std::isinf(sqnr_db(x, x)));
  CHECK(sqnr_db(x, half) == Approx(10 * std::log10(4.0)));
  CHECK(sqnr_db(x, zero) == 0);
  CHECK(sqnr_db(zero, x) == -std::numeric_limits<double>::infinity());
  CHECK(cosine(x, half) == Approx(1.0));
  CHECK(cosine(x, across) == 0);
  CHECK(cosine(zero, zero) == 1);
  CHECK(cosine(x, zero) == 0);
}

TEST_CASE("ties go to the lower class") {
  const std::vector<float> scores = {1, 5, 5, 5, 5, 5, 5};
  CHECK(score_item(scores, 1, ScoreKind::logits).hit1);
  CHECK(!score_item(scores, 2, ScoreKind::logits).hit1);
  CHECK(score_item(scores, 5, ScoreKind::logits).hit5);
  CHECK(!score_item(scores, 6, ScoreKind::logits).hit5);
  CHECK(!score_item(scores, 0, ScoreKind::logits).hit5);
  CHECK(score_item(std::vector<float>{0, 0, 0}, 2, ScoreKind::logits).hit5);
}

TEST_CASE("scores that are not numbers are never hits") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(!score_item(std::vector<float>{nan, nan}, 0, ScoreKind::logits).hit1);
  CHECK(!score_item(std::vector<float>{nan, nan}, 0, ScoreKind::logits).hit5);
  const ItemScore item = score_item(std::vector<float>{nan, 1, 2}, 2, ScoreKind::logits);
  CHECK(item.top1 == 2);
  CHECK(item.hit1);
}

TEST_CASE("logits, probabilities and their logarithms say the same") {
  const std::vector<float> logits = {0.5f, -1.0f, 2.0f}, far = {0.0f, 1000.0f, -1000.0f};
  std::vector<float> probabilities, logarithms;
  for (const double value : log_probabilities(logits, ScoreKind::logits)) {
    probabilities.push_back(float(std::exp(value)));
    logarithms.push_back(float(value));
  }
  // float32 probabilities and logarithms are rounded by at most 2^-24 of values up to 4.
  for (std::int32_t target = 0; target < 3; ++target) {
    const double wanted = score_item(logits, target, ScoreKind::logits).log_likelihood;
    CHECK(score_item(probabilities, target, ScoreKind::probabilities).log_likelihood == Approx(wanted).epsilon(1e-6));
    CHECK(score_item(logarithms, target, ScoreKind::log_probabilities).log_likelihood == Approx(wanted).epsilon(1e-6));
  }
  CHECK(score_item(far, 1, ScoreKind::logits).log_likelihood == 0);
  CHECK(score_item(far, 2, ScoreKind::logits).log_likelihood == -2000);
  CHECK(score_item(std::vector<float>{1, 0}, 1, ScoreKind::probabilities).log_likelihood ==
        Approx(-149 * std::log(2.0)));
  CHECK(std::isnan(perplexity(std::vector<double>{-1.0}).error));
}

}  // namespace
}  // namespace qb
