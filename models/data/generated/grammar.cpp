#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/base/elementary.h"
#include "kernels/base/random.h"
#include "models/data/generated/generated.h"
#include "models/data/generated/sample_streams.h"

namespace qb {
namespace {

constexpr std::uint32_t kWhole = 1u << 16;  ///< parts of a probability of one

std::int64_t contexts_of(const GrammarOptions& options) {
  std::int64_t contexts = 1;
  for (std::int64_t i = 0; i < options.order; ++i) contexts *= options.vocabulary;
  return contexts;
}

/// Every token gets a small share, so that all contexts can follow each other; the rest goes to `branches` favourites,
/// each taking between 35 and 65 % of what is left, the last one all of it.
void draw_row(const GrammarOptions& options, Random& random, std::uint32_t* row) {
  std::vector<std::int64_t> tokens(std::size_t(options.vocabulary));
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = std::int64_t(i);
  shuffle(std::span(tokens), random);
  const auto share = std::uint32_t(kWhole / 20 / std::uint32_t(options.vocabulary));
  std::fill(row, row + options.vocabulary, share);
  std::uint32_t left = kWhole - share * std::uint32_t(options.vocabulary);
  for (std::int64_t i = 0; i < options.branches; ++i) {
    const bool last = i + 1 == options.branches;
    const auto taken = last ? left : std::uint32_t(std::uint64_t(left) * (350 + random.below(301)) / 1000);
    row[tokens[std::size_t(i)]] += taken;
    left -= taken;
  }
}

/// The stationary distribution by repeated application of the rules, averaged with the identity so that no period keeps
/// it from settling. Stops when the largest change is below 1e-15, which is less than rounding changes the entropy
/// rate.
std::vector<double> settle(const GrammarRules& rules, std::int64_t contexts) {
  std::vector<double> now(std::size_t(contexts), 1.0 / double(contexts)), next(now.size());
  for (int round = 0; round < 10000; ++round) {
    std::fill(next.begin(), next.end(), 0.0);
    for (std::int64_t c = 0; c < contexts; ++c) {
      for (std::int64_t token = 0; token < rules.vocabulary; ++token) {
        const std::int64_t following = (c * rules.vocabulary + token) % contexts;
        const double p = double(rules.parts[std::size_t(c * rules.vocabulary + token)]) / double(kWhole);
        next[std::size_t(following)] += now[std::size_t(c)] * p;
      }
    }
    double change = 0;
    for (std::size_t i = 0; i < now.size(); ++i) {
      const double mixed = 0.25 * now[i] + 0.75 * next[i];
      change = std::max(change, std::abs(mixed - now[i]));
      now[i] = mixed;
    }
    if (change < 1e-15) break;
  }
  return now;
}

/// The first index whose running sum exceeds `point`.
std::int64_t draw_context(const std::vector<double>& running, double point) {
  const auto found = std::upper_bound(running.begin(), running.end(), point * running.back());
  return std::min<std::int64_t>(found - running.begin(), std::ssize(running) - 1);
}

std::int64_t draw_token(const GrammarRules& rules, std::int64_t context, Random& random) {
  auto point = std::uint32_t(random.below(kWhole));
  const std::uint32_t* row = rules.parts.data() + context * rules.vocabulary;
  std::int64_t token = 0;
  while (point >= row[token]) point -= row[token++];
  return token;
}

}  // namespace

GrammarRules grammar_rules(const GrammarOptions& options) {
  GrammarRules rules;
  rules.vocabulary = options.vocabulary;
  rules.order = options.order;
  const std::int64_t contexts = contexts_of(options);
  rules.parts.resize(std::size_t(contexts * options.vocabulary));
  for (std::int64_t c = 0; c < contexts; ++c) {
    Random random(std::uint64_t(options.language), std::uint64_t(c));
    draw_row(options, random, rules.parts.data() + c * options.vocabulary);
  }
  rules.stationary = settle(rules, contexts);
  for (std::int64_t c = 0; c < contexts; ++c) {
    double entropy = 0;
    for (std::int64_t token = 0; token < options.vocabulary; ++token) {
      const double p = double(rules.parts[std::size_t(c * options.vocabulary + token)]) / double(kWhole);
      entropy -= p * portable_log(p);
    }
    rules.entropy_rate_nats += rules.stationary[std::size_t(c)] * entropy;
  }
  return rules;
}

Dataset grammar(const GrammarOptions& options, const std::string& split, std::int64_t count, std::uint64_t seed) {
  const SampleStreams streams(split, count, seed);
  const GrammarRules rules = grammar_rules(options);
  const std::int64_t contexts = std::ssize(rules.stationary);
  std::vector<double> running = rules.stationary;
  for (std::size_t i = 1; i < running.size(); ++i) running[i] += running[i - 1];

  Dataset result;
  result.name = "grammar";
  result.split = split;
  result.classes = std::int32_t(options.vocabulary);
  result.inputs = Tensor(DType::f32, {count, options.window * options.vocabulary});
  result.targets.resize(std::size_t(count));
  result.entropy_rate_nats = rules.entropy_rate_nats;
  float* rows = result.inputs.as<float>().data();
  std::vector<std::int64_t> tokens(std::size_t(options.window + 1));
  for (std::int64_t i = 0; i < count; ++i) {
    Random random = streams.of_sample(i);
    std::int64_t context = draw_context(running, random.uniform());
    std::int64_t rest = context;
    for (std::int64_t t = options.order; t-- > 0; rest /= options.vocabulary)
      tokens[std::size_t(t)] = rest % options.vocabulary;
    for (std::int64_t t = options.order; t <= options.window; ++t) {
      tokens[std::size_t(t)] = draw_token(rules, context, random);
      context = (context * options.vocabulary + tokens[std::size_t(t)]) % contexts;
    }
    for (std::int64_t t = 0; t < options.window; ++t)
      rows[(i * options.window + t) * options.vocabulary + tokens[std::size_t(t)]] = 1.0f;
    result.targets[std::size_t(i)] = std::int32_t(tokens.back());
  }
  result.digest = digest_of_samples(result);
  return result;
}

}  // namespace qb
