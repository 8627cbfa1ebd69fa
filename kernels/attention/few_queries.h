// Attention of a few queries, written once for all instruction sets: lanes are elements, then keys.
//
// Keys and values are read once, as they lie. A tile of queries by keys sums products of elements in vectors, whose
// lanes are then added up to scores; weights meet values as broadcasts. A query's result does not depend on the others.
// Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include <cstdint>

#include "kernels/curves/exponential.h"
#include "kernels/attention/key_blocks.h"

namespace qb {

namespace {

constexpr std::int64_t kKeysAtOnce = 256;

/// Some queries and what is known of them.
template <class Vector>
struct FewQueries {
  static constexpr std::int64_t kLanes = Vector::kLanes;
  std::int64_t key_width, value_width;  ///< sizes in whole vectors
  float* q;                             ///< [queries, key_width], times scale, zeros behind
  float* sums;                          ///< [queries, value_width] of weights times values
  float* scores;                        ///< [queries, kKeysAtOnce], then weights
  float *most, *total;                  ///< [queries] largest score, sum of weights
};

/// All lanes together, in a fixed order.
template <class Vector, class Join>
QB_INLINE float over_lanes(typename Vector::Floats x, Join join) {
  float lanes[Vector::kLanes];
  Vector::store(lanes, x);
  QB_UNROLL for (int half = Vector::kLanes / 2; half > 0; half /= 2) QB_UNROLL for (int i = 0; i < half; ++i) lanes[i] =
      join(lanes[i], lanes[i + half]);
  return lanes[0];
}

/// Lets the row come nearer that lies kRowsAhead behind row j of a block. For several queries, whose arithmetic keeps
/// the processor from looking so far; for one query it does better alone.
template <int kRows>
QB_INLINE void fetch_row_ahead(const KeyBlock& block, std::int64_t j, const float* row, std::int64_t stride,
                               std::int64_t size) {
  constexpr std::int64_t kRowsAhead = 32, kLine = 16;  // floats
  if (kRows == 1 || j + kRowsAhead >= block.count + block.behind) return;
  for (std::int64_t e = 0; e < size; e += kLine) __builtin_prefetch(row + kRowsAhead * stride + e, 0, 2);
}

/// Scores of `keys` keys (at most kKeys; the last stands for those that lack) for kRows queries.
template <class Vector, int kRows, int kKeys>
QB_INLINE void score_keys(const FewQueries<Vector>& few, const KeyBlock& block, std::int64_t key_size, std::int64_t row,
                          std::int64_t first) {
  using Floats = typename Vector::Floats;
  constexpr int kLanes = Vector::kLanes;
  const float* q = few.q + row * few.key_width;
  Floats sum[kRows][kKeys];
  // One query: one key after another, for memory is read best in rising order. More: all keys together, for each vector
  // of a query then meets several.
  constexpr int kTogether = kRows == 1 ? 1 : kKeys;
  QB_UNROLL for (int begin = 0; begin < kKeys; begin += kTogether) {
    const float* key[kTogether];
    QB_UNROLL for (int c = 0; c < kTogether; ++c) {
      const std::int64_t j = first + begin + c < block.count ? first + begin + c : block.count - 1;
      key[c] = block.key + j * block.key_stride;
      QB_UNROLL for (int r = 0; r < kRows; ++r) sum[r][begin + c] = Vector::zero();
      if (row == 0) fetch_row_ahead<kRows>(block, j, key[c], block.key_stride, key_size);
    }
    const auto add = [&](std::int64_t e, auto load) __attribute__((always_inline)) {
      Floats elements[kTogether];
      QB_UNROLL for (int c = 0; c < kTogether; ++c) elements[c] = load(key[c] + e);
      QB_UNROLL for (int r = 0; r < kRows; ++r) {
        const Floats x = Vector::load(q + r * few.key_width + e);
        QB_UNROLL for (int c = 0; c < kTogether; ++c) sum[r][begin + c] =
            Vector::multiply_add(elements[c], x, sum[r][begin + c]);
      }
    };
    std::int64_t e = 0;
    for (; e + kLanes <= key_size; e += kLanes)
      add(
          e, [](const float* from) __attribute__((always_inline)) { return Vector::load(from); });
    if (e < key_size)
      add(
          e, [&](const float* from) __attribute__((always_inline)) { return Vector::load_first(from, key_size - e); });
  }
  QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int c = 0; c < kKeys; c += 4) {
    float* scores = few.scores + (row + r) * kKeysAtOnce + first + c;
    Vector::add_sums(scores, true, sum[r][c], sum[r][c + 1], sum[r][c + 2], sum[r][c + 3]);
  }
}

/// A function of its own: beside the loops around it gcc 12 would keep sums on the stack.
template <class Vector, int kRows>
__attribute__((noinline)) void score_block(const FewQueries<Vector>& few, const KeyBlock& block, std::int64_t key_size,
                                           std::int64_t row) {
  constexpr int kKeys = kRows == 1 ? 8 : 4;
  for (std::int64_t j = 0; j < block.count; j += kKeys) score_keys<Vector, kRows, kKeys>(few, block, key_size, row, j);
}

/// sums = sums * factor + weights times values, for kVectors vectors of elements, the last of which has `last` lanes.
template <class Vector, int kRows, int kVectors>
__attribute__((noinline)) void join_values(const FewQueries<Vector>& few, const KeyBlock& block, const float* factor,
                                           std::int64_t row, std::int64_t element, std::int64_t last) {
  using Floats = typename Vector::Floats;
  constexpr int kLanes = Vector::kLanes;
  Floats sum[kRows][kVectors];
  QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[r][v] = Vector::zero();
  const float *value = block.value + element, *weights = few.scores + row * kKeysAtOnce;
  for (std::int64_t j = 0; j < block.count; ++j, value += block.value_stride) {
    if (row == 0 && element == 0) fetch_row_ahead<kRows>(block, j, value, block.value_stride, few.value_width);
    Floats weight[kRows];
    QB_UNROLL for (int r = 0; r < kRows; ++r) weight[r] = Vector::all(weights[r * kKeysAtOnce + j]);
    QB_UNROLL for (int v = 0; v < kVectors; ++v) {
      const Floats elements =
          v + 1 < kVectors ? Vector::load(value + v * kLanes) : Vector::load_first(value + v * kLanes, last);
      QB_UNROLL for (int r = 0; r < kRows; ++r) sum[r][v] = Vector::multiply_add(weight[r], elements, sum[r][v]);
    }
  }
  QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    float* to = few.sums + (row + r) * few.value_width + element + v * kLanes;
    Vector::store(to, Vector::multiply_add(Vector::load(to), Vector::all(factor[row + r]), sum[r][v]));
  }
}

template <class Vector, int kRows, int kVectors>
QB_INLINE void join_vectors(const FewQueries<Vector>& few, const KeyBlock& block, const float* factor, std::int64_t row,
                            std::int64_t element, std::int64_t elements) {
  constexpr std::int64_t kLanes = Vector::kLanes;
  if (elements > (kVectors - 1) * kLanes)
    return join_values<Vector, kRows, kVectors>(few, block, factor, row, element, elements - (kVectors - 1) * kLanes);
  if constexpr (kVectors > 1) join_vectors<Vector, kRows, kVectors - 1>(few, block, factor, row, element, elements);
}

/// Vectors of sums that registers hold for each of `rows` queries.
template <class Vector>
constexpr int few_vectors(int rows) {
  return Vector::kFewSums / rows < 8 ? Vector::kFewSums / rows : 8;
}

template <class Vector, int kRows>
void join_block(const FewQueries<Vector>& few, const KeyBlock& block, const float* factor, std::int64_t row,
                std::int64_t value_size) {
  constexpr int kVectors = few_vectors<Vector>(kRows);
  for (std::int64_t e = 0; e < value_size; e += kVectors * Vector::kLanes)
    join_vectors<Vector, kRows, kVectors>(few, block, factor, row, e, value_size - e);
}

/// Calls body.template operator()<rows>(row) for all queries, as many at once as registers allow.
template <class Vector, int kRows = Vector::kFewRows, class Body>
QB_INLINE void for_rows(std::int64_t queries, std::int64_t row, Body body) {
  for (; row + kRows <= queries; row += kRows) body.template operator()<kRows>(row);
  if constexpr (kRows > 1) {
    if (row < queries) for_rows<Vector, kRows / 2>(queries, row, body);
  }
}

/// Scores of query `i` become weights, those of keys that it does not see 0. Returns what a new largest score takes
/// from earlier sums.
template <class Vector>
float weigh_row(const AttentionArgs& args, const FewQueries<Vector>& few, const KeyBlock& block, std::int64_t i) {
  using Floats = typename Vector::Floats;
  constexpr std::int64_t kLanes = Vector::kLanes;
  float* scores = few.scores + i * kKeysAtOnce;
  const std::int64_t left = seen_by(args, i) - block.first, seen = left < 0             ? 0
                                                                   : left < block.count ? left
                                                                                        : block.count;
  Floats most = Vector::all(few.most[i]);
  for (std::int64_t j = block.count; j % kLanes != 0; ++j) scores[j] = 0.0f;  // defined, then hidden
  for (std::int64_t j = 0; j < block.count; j += kLanes) {
    Floats score = Vector::load(scores + j);
    if (args.softcap > 0)
      score = Vector::multiply(Vector::all(args.softcap),
                               hyperbolic_tangent<Vector>(Vector::multiply(score, Vector::all(1 / args.softcap))));
    if (args.mask)
      score =
          Vector::add(score, Vector::load_first(args.mask + i * args.mask_stride + block.first + j, block.count - j));
    const auto numbers = Vector::to_floats(Vector::lane_numbers());
    const std::int64_t last = seen - j < 0 ? 0 : seen - j < kLanes ? seen - j : kLanes;
    score = Vector::where_above(Vector::all(float(last)), numbers, score, Vector::all(-__builtin_inff()));
    Vector::store(scores + j, score);
    most = Vector::larger(most, score);
  }
  const float before = few.most[i];
  few.most[i] = over_lanes<Vector>(most, [](float a, float b) { return a > b ? a : b; });
  most = Vector::all(few.most[i]);
  Floats sum = Vector::zero();
  for (std::int64_t j = 0; j < block.count; j += kLanes) {
    const Floats weight = exponential<Vector>(Vector::subtract(Vector::load(scores + j), most));
    Vector::store(scores + j, weight);
    sum = Vector::add(sum, weight);
  }
  const float factor = over_lanes<Vector>(exponential<Vector>(Vector::subtract(Vector::all(before), most)),
                                          [](float a, float) { return a; });
  few.total[i] = few.total[i] * factor + over_lanes<Vector>(sum, [](float a, float b) { return a + b; });
  return factor;
}

template <class Vector>
void attend_few_block(const AttentionArgs& args, const FewQueries<Vector>& few, const KeyBlock& block) {
  for_rows<Vector>(args.queries, 0,
                   [&]<int kRows>(std::int64_t row) { score_block<Vector, kRows>(few, block, args.key_size, row); });
  float factor[Vector::kFewQueries];
  for (std::int64_t i = 0; i < args.queries; ++i) factor[i] = weigh_row<Vector>(args, few, block, i);
  const auto join = [&]<int kRows>(std::int64_t row) {
    join_block<Vector, kRows>(few, block, factor, row, args.value_size);
  };
  // Fewer queries at once where their values are longer than registers could hold: memory is read in rising order.
  constexpr int kMost = Vector::kFewRows;
  if (args.value_size <= few_vectors<Vector>(kMost) * Vector::kLanes)
    for_rows<Vector, kMost>(args.queries, 0, join);
  else
    for_rows<Vector, kMost / 2>(args.queries, 0, join);
}

/// At most Vector::kFewQueries queries.
template <class Vector>
void attend_few(const AttentionArgs& args) {
  constexpr std::int64_t kLanes = Vector::kLanes;
  FewQueries<Vector> few{};
  few.key_width = (args.key_size + kLanes - 1) / kLanes * kLanes;
  few.value_width = (args.value_size + kLanes - 1) / kLanes * kLanes;
  few.q = args.scratch;
  few.sums = few.q + Vector::kFewQueries * few.key_width;
  few.scores = few.sums + Vector::kFewQueries * few.value_width;
  few.most = few.scores + Vector::kFewQueries * kKeysAtOnce;
  few.total = few.most + kLanes;
  for (std::int64_t i = 0; i < args.queries; ++i) {
    for (std::int64_t e = 0; e < few.key_width; e += kLanes)
      Vector::store(few.q + i * few.key_width + e,
                    Vector::multiply(Vector::load_first(args.q + i * args.q_stride + e, args.key_size - e),
                                     Vector::all(args.scale)));
    for (std::int64_t e = 0; e < few.value_width; e += kLanes)
      Vector::store(few.sums + i * few.value_width + e, Vector::zero());
    few.most[i] = kLowest;
    few.total[i] = 0.0f;
  }
  for_each_block(args, 0, args.queries, kKeysAtOnce, kKeysAtOnce,
                 [&](const KeyBlock& block) { attend_few_block<Vector>(args, few, block); });
  for (std::int64_t i = 0; i < args.queries; ++i) {
    const auto inverse = Vector::all(few.total[i] > 0 ? 1 / few.total[i] : 0.0f);
    for (std::int64_t e = 0; e < args.value_size; e += kLanes)
      Vector::store_first(args.y + i * args.y_stride + e,
                          Vector::multiply(Vector::load(few.sums + i * few.value_width + e), inverse),
                          args.value_size - e);
  }
}

}  // namespace

}  // namespace qb
