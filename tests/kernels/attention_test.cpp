// Attention: every variant against the reference, within a derived bound; the reference against the formula.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "kernels/attention/variants.h"
#include "kernels/base/allocations.h"
#include "tests/kernels/attention_case.h"
#include "tests/kernels/guarded_floats.h"

namespace qb {

namespace {

constexpr double kU = 0x1p-24;  ///< relative error of one rounding
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// One query of one head by the formula, in float64, and how far a variant may be from it.
///
/// A score is a sum of key_size products of a query that was scaled before, in any order: it is wrong by at most
///   e = (key_size + 2) u sum |q k scale|, and after softcap, whose derivative is at most 1, by e + (2^-22 + 4 u)
///   softcap;
/// adding the mask rounds once more. The largest score cancels, however wrong. A weight is then wrong by a factor
/// within exp(+-h),
///   h = e + u |x| + 4 u  (x: what the score lies below the largest; its difference rounds once; exp within 2 ulp)
///       + (n + 8) u      (sums over n keys, in any order, of weights and of weights times values, and the quotient)
///       + (6 u) b + u |x| (b blocks of at least one key, each with a factor exp of a difference, which add up to |x|).
/// Weights are divided by their sum, wrong by a factor within exp(+-max h): so a result is wrong by at most
///   sum over keys of p |v| (exp(h + max h) - 1),
/// beside weights below e^-87, which are lost, the float32 of the result, and products that are subnormal.
struct Exact {
  std::vector<double> y, bound;  ///< [value_size]
};

/// h of a key whose score, wrong by e, lies so much below the largest of `keys`: blocks have 16 keys, but the last
/// ones.
double weight_error(double e, double below, std::int64_t keys) {
  const double blocks = double(keys) / 16 + 6;
  return e + (2 * below + 4 + double(keys) + 8 + 6 * blocks) * kU;
}

Exact exactly(const AttentionCase& c, std::int64_t h, std::int64_t i) {
  const AttentionCall& call = c.call;
  std::vector<double> score, error;
  std::vector<const float*> value;
  const std::int64_t kv = h / (call.heads / call.kv_heads);
  for (const KeyValues& part : call.parts)
    for (std::int64_t p = 0; p < part.positions && std::ssize(score) < call.first_unseen + i; ++p) {
      double sum = 0, magnitude = 0;
      for (std::int64_t t = 0; t < call.key_size; ++t) {
        const double product = double(call.q[i * call.q_position + h * call.q_head + t]) *
                               double(part.key[p * part.key_position + kv * part.key_head + t]) * double(call.scale);
        sum += product;
        magnitude += std::abs(product);
      }
      double e = double(call.key_size + 2) * kU * magnitude + 0x1p-120;
      if (call.softcap > 0) {
        sum = double(call.softcap) * std::tanh(sum / double(call.softcap));
        e += (0x1p-22 + 4 * kU) * double(call.softcap);
      }
      if (call.mask) {
        sum += double(call.mask[h * call.mask_head + i * call.mask_query + std::ssize(score)]);
        if (std::isfinite(sum)) e += kU * std::abs(sum);
      }
      score.push_back(sum);
      error.push_back(e);
      value.push_back(part.value + p * part.value_position + kv * part.value_head);
    }
  Exact exact;
  exact.y.assign(std::size_t(call.value_size), 0.0);
  exact.bound.assign(std::size_t(call.value_size), 0.0);
  const double most = score.empty() ? -HUGE_VAL : *std::ranges::max_element(score);
  if (most == -HUGE_VAL) return exact;
  double total = 0, worst = 0;
  for (std::size_t j = 0; j < score.size(); ++j) {
    total += std::exp(score[j] - most);
    const double below = std::min(most - score[j], 88.0);  // the weights of others are lost
    if (score[j] > -HUGE_VAL) worst = std::max(worst, error[j] = weight_error(error[j], below, std::ssize(score)));
  }
  for (std::int64_t t = 0; t < call.value_size; ++t) {
    double magnitude = 0;
    for (std::size_t j = 0; j < score.size(); ++j) {
      const double p = std::exp(score[j] - most) / total, v = value[j][t];
      exact.y[std::size_t(t)] += p * v;
      if (p > 0) exact.bound[std::size_t(t)] += p * std::abs(v) * std::expm1(error[j] + worst);
      magnitude += std::abs(v);
    }
    exact.bound[std::size_t(t)] += kU * std::abs(exact.y[std::size_t(t)]) + 0x1p-124 * magnitude + 0x1p-126;
  }
  return exact;
}

/// Empty where y agrees with the formula.
std::string disagreement_of(const AttentionCase& c) {
  for (std::int64_t h = 0; h < c.call.heads; ++h)
    for (std::int64_t i = 0; i < c.call.queries; ++i) {
      const Exact exact = exactly(c, h, i);
      for (std::int64_t t = 0; t < c.call.value_size; ++t) {
        const double got = c.call.y[i * c.call.y_position + h * c.call.y_head + t], wanted = exact.y[std::size_t(t)];
        if (!(std::abs(got - wanted) <= exact.bound[std::size_t(t)]))
          return "head " + std::to_string(h) + ", query " + std::to_string(i) + ", element " + std::to_string(t) +
                 ": " + std::to_string(got) + " instead of " + std::to_string(wanted) + " +- " +
                 std::to_string(exact.bound[std::size_t(t)]);
      }
    }
  return {};
}

/// Runs it on one thread and on three, and says where it disagrees.
std::string run_and_compare(AttentionCase& c, Isa isa) {
  AttentionScratch scratch;
  attention(c.call, isa, scratch);
  const std::vector<float> one = c.results();
  c.call.threads = 3;
  c.forget_results();
  attention(c.call, isa, scratch);
  if (c.results() != one) return "the bits depend on the number of threads";
  c.call.threads = 1;
  return c.touched_elsewhere() ? "wrote beside the results" : disagreement_of(c);
}

/// Those that this machine can run.
template <class Body>
void for_each_variant(Body body) {
  for (const AttentionVariant& variant : attention_variants()) {
    if (!includes(host_isa(), variant.needs)) {
      MESSAGE("not run on this host: ", variant.name);
      continue;
    }
    REQUIRE(best_attention(variant.needs).name == variant.name);
    body(variant);
  }
}

std::vector<AttentionSizes> awkward_sizes() {
  std::vector<AttentionSizes> all;
  for (const std::int64_t queries : {1, 3, 5, 8, 9, 17, 33, 64, 70})
    for (const std::int64_t past : {0, 1, 63, 110})
      for (const auto& [key_size, value_size] : {std::array{1, 3}, {3, 1}, {64, 20}, {33, 9}, {7, 65}})
        all.push_back({.queries = queries, .past = past, .key_size = key_size, .value_size = value_size});
  for (const std::int64_t past : {0, 230, 300, 1025}) {
    all.push_back({.queries = 1, .past = past, .heads = 12, .kv_heads = 1, .key_size = 64, .value_size = 24});
    all.push_back({.queries = 1, .past = past, .heads = 6, .kv_heads = 2, .key_size = 80, .value_size = 200});
    all.push_back({.queries = 3, .past = past, .heads = 2, .kv_heads = 2, .key_size = 20, .value_size = 70});
  }
  all.push_back({.queries = 200, .past = 100, .heads = 3, .kv_heads = 1, .key_size = 8, .value_size = 12});
  return all;
}

}  // namespace

TEST_CASE("every variant of attention agrees with the formula on awkward sizes") {
  for_each_variant([](const AttentionVariant& variant) {
    for (const AttentionSizes& sizes : awkward_sizes())
      for (const bool causal : {true, false}) {
        AttentionCase c(sizes, /*seed=*/std::uint64_t(sizes.queries + sizes.past));
        if (causal) c.call.first_unseen = sizes.past + 1;
        INFO(variant.name, " ", sizes.queries, " queries, ", sizes.past, " before, sizes ", sizes.key_size, " and ",
             sizes.value_size, ", ", sizes.heads, " heads on ", sizes.kv_heads, causal ? ", causal" : "");
        CHECK(run_and_compare(c, variant.needs) == "");
      }
  });
}

TEST_CASE("masks, softcap and grouped heads do what the formula says") {
  for_each_variant([](const AttentionVariant& variant) {
    for (const std::int64_t queries : {1, 3, 21, 67})
      for (const std::int64_t past : {0, 37})
        for (const bool shared : {true, false})
          for (const float softcap : {0.0f, 1.5f}) {
            AttentionCase c(
                {.queries = queries, .past = past, .heads = 4, .kv_heads = 2, .key_size = 9, .value_size = 12},
                /*seed=*/3);
            c.add_mask(shared);
            c.call.softcap = softcap;
            INFO(variant.name, " ", queries, " queries, ", past, " before, softcap ", softcap);
            CHECK(run_and_compare(c, variant.needs) == "");
            for (float& m : c.mask) m = std::abs(m) < 0.5f ? -kInfinity : 0.0f;
            for (std::int64_t j = 0; j < c.keys(); ++j) c.mask[std::size_t(j)] = -kInfinity;  // query 0 sees nothing
            CHECK(run_and_compare(c, variant.needs) == "");
            CHECK(c.results()[0] == 0.0f);
            for (float& m : c.mask)
              if (m < 0) m = std::numeric_limits<float>::lowest();  // query 0 sees all alike
            CHECK(run_and_compare(c, variant.needs) == "");
          }
  });
}

TEST_CASE("queries that see nothing give 0, and some keys may be seen by none") {
  for_each_variant([](const AttentionVariant& variant) {
    for (const std::int64_t queries : {1, 4, 30, 70})
      for (const std::int64_t first_unseen : {-100, -20, -3, 0, 2, 50}) {
        AttentionCase c({.queries = queries, .past = 40, .key_size = 16, .value_size = 20}, /*seed=*/4);
        c.call.first_unseen = first_unseen;
        INFO(variant.name, " ", queries, " queries, first unseen ", first_unseen);
        CHECK(run_and_compare(c, variant.needs) == "");
      }
    AttentionCase none({.queries = 20, .past = 0, .key_size = 16, .value_size = 20}, /*seed=*/4);
    none.call.parts[1].positions = 0;
    CHECK(run_and_compare(none, variant.needs) == "");
    CHECK(std::ranges::all_of(none.results(), [](float y) { return y == 0.0f; }));
    AttentionCase all({.queries = 20, .past = 9, .key_size = 16, .value_size = 20}, /*seed=*/4);
    all.call.first_unseen = std::numeric_limits<std::int64_t>::max();
    AttentionScratch scratch;
    attention(all.call, variant.needs, scratch);
    all.call.first_unseen = all.keys();
    CHECK(disagreement_of(all) == "");
  });
}

TEST_CASE("large, equal and vanishing scores") {
  for_each_variant([](const AttentionVariant& variant) {
    for (const std::int64_t queries : {1, 6, 40, 65})
      for (const float scale : {1e4f, 40.0f, -25.0f, 0.0f, 1e-30f}) {
        AttentionCase c({.queries = queries, .past = 150, .key_size = 9, .value_size = 17}, /*seed=*/6);
        c.call.scale = scale;
        INFO(variant.name, " ", queries, " queries, scale ", scale);
        CHECK(run_and_compare(c, variant.needs) == "");
      }
  });
}

TEST_CASE("weights are e to the power of their score, relatively") {
  // Two keys, with scores 0 and x and values 0 and 1, give e^x / (1 + e^x): exp within 2 ulp (4 u), a sum, a quotient
  // as an inverse and a product, and the float32 of the result, u each; x itself is exact.
  for_each_variant([](const AttentionVariant& variant) {
    constexpr std::int64_t kMany = 20'000;
    for (const std::int64_t queries : {std::int64_t(1), kMany}) {
      std::vector<float> x, y(kMany);
      for (std::int64_t i = 0; i < kMany; ++i) x.push_back(-87.25f * float(i) / float(kMany));
      const float key[] = {0.0f, 1.0f};
      AttentionCall call;
      call.queries = queries;
      call.q_position = call.y_position = 1;
      call.parts[0] = {2, key, key, 1, 0, 1, 0};
      call.first_unseen = 2;
      AttentionScratch scratch;
      for (std::int64_t i = 0; i < kMany; i += queries) {
        call.q = x.data() + i;
        call.y = y.data() + i;
        attention(call, variant.needs, scratch);
      }
      double worst = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double wanted = std::exp(double(x[i])) / (1 + std::exp(double(x[i])));
        worst = std::max(worst, std::abs(double(y[i]) / wanted - 1));
      }
      INFO(variant.name, ", ", queries, " at once");
      CHECK(worst <= 9 * kU);
      const float lost = -88.0f;
      call.queries = 1;
      call.q = &lost;
      attention(call, variant.needs, scratch);
      CHECK((call.y[0] == 0.0f) == (variant.needs != Isa::none));
    }
  });
}

TEST_CASE("no variant reads or writes outside its operands") {
  for_each_variant([](const AttentionVariant& variant) {
    for (const std::int64_t queries : {1, 3, 9, 21, 65})
      for (const std::int64_t keys : {1, 5, 18, 70})
        for (const std::int64_t size : {1, 3, 15, 17, 64}) {
          const auto values = std::size_t(size);
          GuardedFloats q(std::size_t(queries) * values), y(std::size_t(queries) * values);
          GuardedFloats k(std::size_t(keys) * values), v(std::size_t(keys) * values);
          GuardedFloats mask(std::size_t(queries * keys));
          Random random(8);
          for (GuardedFloats* one : {&q, &k, &v, &mask})
            for (float& value : one->values()) value = float(random.uniform(-1, 1));
          AttentionCall call;
          call.queries = queries;
          call.key_size = call.value_size = size;
          call.q = q.values().data();
          call.y = y.values().data();
          call.q_position = call.y_position = size;
          call.parts[0] = {keys, k.values().data(), v.values().data(), size, 0, size, 0};
          call.first_unseen = keys;
          call.mask = mask.values().data();
          call.mask_query = keys;
          AttentionScratch scratch, other;
          attention(call, variant.needs, scratch);
          std::vector<float> expected(y.values().size());
          call.y = expected.data();
          attention(call, Isa::none, other);
          INFO(variant.name, " ", queries, " queries, ", keys, " keys, size ", size);
          // As above, with scores of at most `size` + 1 and values of at most 1.
          const double weight = double((size + 2) * size + 4 * (size + 1) + keys + 12 + 6 * (keys / 16 + 6));
          for (std::size_t at = 0; at < expected.size(); ++at)
            CHECK(std::abs(double(y.values()[at]) - double(expected[at])) <= std::expm1(2 * weight * kU) + kU);
        }
  });
}

TEST_CASE("a query's result does not depend on what other queries hold") {
  for_each_variant([](const AttentionVariant& variant) {
    for (const std::int64_t queries : {5, 70}) {
      AttentionCase c({.queries = queries, .past = 90, .key_size = 32, .value_size = 32}, /*seed=*/9);
      c.call.first_unseen = 91;
      AttentionScratch scratch;
      attention(c.call, variant.needs, scratch);
      const std::vector<float> before = c.results();
      const std::int64_t kept = queries / 2;
      for (std::int64_t i = 0; i < queries; ++i)
        if (i != kept)
          for (std::int64_t t = 0; t < 32; ++t) c.q[std::size_t(1 + i * c.call.q_position + t)] *= -30.0f;
      attention(c.call, variant.needs, scratch);
      const std::vector<float> after = c.results();
      CHECK(std::equal(before.begin() + kept * 32, before.begin() + (kept + 1) * 32, after.begin() + kept * 32));
      CHECK(before != after);
    }
  });
}

TEST_CASE("attention allocates nothing once warm, but for the reference") {
  for_each_variant([](const AttentionVariant& variant) {
    if (variant.needs == Isa::none) return;
    for (const int threads : {1, 2}) {
      AttentionCase c({.queries = 130, .past = 90, .heads = 4, .kv_heads = 2, .key_size = 32, .value_size = 32}, 10);
      AttentionCase one({.queries = 1, .past = 90, .heads = 4, .kv_heads = 2, .key_size = 32, .value_size = 32}, 10);
      c.call.threads = one.call.threads = threads;
      AttentionScratch scratch;
      attention(c.call, variant.needs, scratch);
      const std::int64_t bytes = scratch.bytes();
      const AllocationCount count;
      attention(c.call, variant.needs, scratch);
      attention(one.call, variant.needs, scratch);
      if (count.counts()) CHECK(count.peak() == 0);
      CHECK(scratch.bytes() == bytes);
    }
  });
}

}  // namespace qb
