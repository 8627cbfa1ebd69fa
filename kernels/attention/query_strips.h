// Attention of many queries, written once for all instruction sets: queries are lanes.
//
// A strip of queries is turned once, so that one line of its panel holds one element of all of them. Scores are then
// tiles of keys by vectors of queries, summed over elements: broadcasts of keys, read where they lie, meet lines of
// the panel. So do sums of values: tiles of elements by vectors of queries, summed over keys, from broadcasts of values
// and lines of weights. Neither keys nor values are turned, and softmax needs no sum or maximum across lanes.
// Included under several instruction-set flags: everything is anonymous and inlined.
#pragma once
#include <cstdint>

#include "kernels/curves/exponential.h"
#include "kernels/attention/key_blocks.h"
#include "kernels/attention/turn.h"

namespace qb {

namespace {

constexpr std::int64_t kBlockKeys = 64;

/// Queries [begin, begin + queries) and what is known of them, by query: panels of kWidth columns.
template <class Vector>
struct QueryStrip {
  static constexpr std::int64_t kWidth = Vector::kStripVectors * Vector::kLanes;
  std::int64_t begin, queries, vectors;
  float* q;                      ///< [key_size], times scale
  float* sums;                   ///< [value_size] of weights times values
  float* scores;                 ///< [kBlockKeys], then weights
  float *most, *total, *factor;  ///< largest score, sum of weights, what a new largest score takes from either sum
};

/// Rows of sums: to[r] (+)= sum over t of a(r, t) * panel[t].
struct StripTile {
  const float* a;  ///< keys, a(r, t) = a[r * stride + t]; or values, a[t * stride + r]
  std::int64_t stride, depth;
  const float* panel;
  float* to;
  const float* factor;  ///< values: by query, of what `to` held before
  const float* ahead;   ///< rows that come next, `stride` apart, of `size` elements
  std::int64_t rows_ahead, size;
};

/// A function of its own: beside the loops around it gcc 12 would keep sums on the stack.
template <class Vector, bool kValues, int kRows, int kVectors>
__attribute__((noinline)) void fill_strip_tile(const StripTile& tile) {
  using Floats = typename Vector::Floats;
  constexpr int kLanes = Vector::kLanes, kWidth = int(QueryStrip<Vector>::kWidth);
  Floats sum[kRows][kVectors];
  QB_UNROLL for (int r = 0; r < kRows; ++r) QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[r][v] = Vector::zero();
  const float *a = tile.a, *panel = tile.panel;
  const std::int64_t row = kValues ? 1 : tile.stride, step = kValues ? tile.stride : 1;
  for (std::int64_t t = 0; t < tile.depth; ++t, a += step, panel += kWidth) {
    Floats line[kVectors];
    QB_UNROLL for (int v = 0; v < kVectors; ++v) line[v] = Vector::load(panel + v * kLanes);
    QB_UNROLL for (int r = 0; r < kRows; ++r) {
      const Floats x = Vector::all(a[r * row]);
      QB_UNROLL for (int v = 0; v < kVectors; ++v) sum[r][v] = Vector::multiply_add(x, line[v], sum[r][v]);
    }
  }
  QB_UNROLL for (int v = 0; v < kVectors; ++v) {
    const Floats factor = kValues ? Vector::load(tile.factor + v * kLanes) : Vector::zero();
    QB_UNROLL for (int r = 0; r < kRows; ++r) {
      float* to = tile.to + r * kWidth + v * kLanes;
      Vector::store(to, kValues ? Vector::multiply_add(Vector::load(to), factor, sum[r][v]) : sum[r][v]);
    }
  }
}

template <class Vector, bool kValues, int kRows, int kVectors>
void fill_some_rows_of(const StripTile& tile, std::int64_t rows) {
  if (rows == kRows) return fill_strip_tile<Vector, kValues, kRows, kVectors>(tile);
  if constexpr (kRows > 1) fill_some_rows_of<Vector, kValues, kRows - 1, kVectors>(tile, rows);
}

/// Lets rows [begin, end) of those that come next come nearer. The processor does not foresee them, for tiles jump.
QB_INLINE void fetch_ahead(const StripTile& tile, std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t kLine = 16;  // floats
  for (std::int64_t r = begin; r < end && r < tile.rows_ahead; ++r)
    for (std::int64_t e = 0; e < tile.size; e += kLine) __builtin_prefetch(tile.ahead + r * tile.stride + e, 0, 2);
}

/// All rows, in tiles of nearly equal height.
template <class Vector, bool kValues, int kVectors>
void fill_rows(const StripTile& all, std::int64_t rows) {
  constexpr std::int64_t kMost = kVectors == Vector::kStripVectors ? 6 : 8;
  const std::int64_t tiles = (rows + kMost - 1) / kMost;
  StripTile tile = all;
  for (std::int64_t t = 0; t < tiles; ++t) {
    const std::int64_t begin = rows * t / tiles;
    tile.a = all.a + begin * (kValues ? 1 : all.stride);
    tile.to = all.to + begin * QueryStrip<Vector>::kWidth;
    fetch_ahead(all, kBlockKeys * t / tiles, kBlockKeys * (t + 1) / tiles);
    fill_some_rows_of<Vector, kValues, int(kMost), kVectors>(tile, rows * (t + 1) / tiles - begin);
  }
}

template <class Vector, bool kValues, int kVectors = Vector::kStripVectors>
void fill_vectors(const StripTile& tile, std::int64_t rows, std::int64_t vectors) {
  if (vectors == kVectors) return fill_rows<Vector, kValues, kVectors>(tile, rows);
  if constexpr (kVectors > 1) fill_vectors<Vector, kValues, kVectors - 1>(tile, rows, vectors);
}

template <class Vector>
void cap_scores(const AttentionArgs& args, float* scores, std::int64_t keys) {
  const auto cap = Vector::all(args.softcap), inverse = Vector::all(1 / args.softcap);
  for (std::int64_t j = 0; j < keys; ++j) {
    float* line = scores + j * QueryStrip<Vector>::kWidth;
    Vector::store(line,
                  Vector::multiply(cap, hyperbolic_tangent<Vector>(Vector::multiply(Vector::load(line), inverse))));
  }
}

/// Adds the mask, turned; `query` is that of the first lane, of which `queries` are.
template <class Vector>
void mask_scores(const AttentionArgs& args, const KeyBlock& block, std::int64_t query, std::int64_t queries,
                 float* scores) {
  constexpr std::int64_t kLanes = Vector::kLanes;
  for (std::int64_t j = 0; j < block.count; j += kLanes) {
    typename Vector::Floats x[kLanes];
    load_turned<Vector>(args.mask + query * args.mask_stride + block.first + j, args.mask_stride, queries,
                        block.count - j, x);
    QB_UNROLL for (int i = 0; i < kLanes; ++i) {
      float* line = scores + (j + i) * QueryStrip<Vector>::kWidth;
      if (i < block.count - j) Vector::store(line, Vector::add(Vector::load(line), x[i]));
    }
  }
}

/// Scores of keys that a query does not see become -infinity.
template <class Vector>
void hide_scores(const AttentionArgs& args, const KeyBlock& block, std::int64_t query, float* scores) {
  const auto numbers = Vector::to_floats(Vector::lane_numbers()), nothing = Vector::all(-__builtin_inff());
  for (std::int64_t j = 0; j < block.count; ++j) {
    // Lane i sees key `first + j` if it lies before first_unseen + query + i.
    const std::int64_t blind = block.first + j - args.first_unseen - query;
    const auto last = Vector::all(float(blind < -1 ? -1 : blind > Vector::kLanes ? Vector::kLanes : blind));
    float* line = scores + j * QueryStrip<Vector>::kWidth;
    Vector::store(line, Vector::where_above(numbers, last, Vector::load(line), nothing));
  }
}

/// Scores of one vector of queries become weights: e to the power of what they lie below the largest score yet.
template <class Vector>
void weigh_scores(const QueryStrip<Vector>& strip, std::int64_t keys, std::int64_t at) {
  using Floats = typename Vector::Floats;
  constexpr std::int64_t kWidth = QueryStrip<Vector>::kWidth;
  float* scores = strip.scores + at;
  const Floats before = Vector::load(strip.most + at);
  Floats most = before, other = before;
  std::int64_t j = 0;
  for (; j + 2 <= keys; j += 2) {
    most = Vector::larger(most, Vector::load(scores + j * kWidth));
    other = Vector::larger(other, Vector::load(scores + (j + 1) * kWidth));
  }
  if (j < keys) most = Vector::larger(most, Vector::load(scores + j * kWidth));
  most = Vector::larger(most, other);
  Floats sum = Vector::zero();
  for (j = 0; j < keys; ++j) {
    const Floats weight = exponential<Vector>(Vector::subtract(Vector::load(scores + j * kWidth), most));
    Vector::store(scores + j * kWidth, weight);
    sum = Vector::add(sum, weight);
  }
  const Floats factor = exponential<Vector>(Vector::subtract(before, most));
  Vector::store(strip.most + at, most);
  Vector::store(strip.factor + at, factor);
  Vector::store(strip.total + at, Vector::multiply_add(Vector::load(strip.total + at), factor, sum));
}

/// Keys that some of the strip's queries see.
template <class Vector>
void attend_block(const AttentionArgs& args, const QueryStrip<Vector>& strip, const KeyBlock& block,
                  std::int64_t ahead) {
  constexpr std::int64_t kLanes = Vector::kLanes;
  const std::int64_t blind = args.unseen_step * (block.first + 1 - args.first_unseen - strip.begin);
  const std::int64_t first = blind <= 0 ? 0 : blind / kLanes, at = first * kLanes, vectors = strip.vectors - first;
  fill_vectors<Vector, false>({block.key, block.key_stride, args.key_size, strip.q + at, strip.scores + at, nullptr,
                               block.key + block.count * block.key_stride, ahead, args.key_size},
                              block.count, vectors);
  const bool hides = block.first + block.count > seen_by(args, strip.begin);
  for (std::int64_t v = first; v < strip.vectors; ++v) {
    float* scores = strip.scores + v * kLanes;
    if (args.softcap > 0) cap_scores<Vector>(args, scores, block.count);
    if (args.mask) mask_scores<Vector>(args, block, strip.begin + v * kLanes, strip.queries - v * kLanes, scores);
    if (hides) hide_scores<Vector>(args, block, strip.begin + v * kLanes, scores);
    weigh_scores<Vector>(strip, block.count, v * kLanes);
  }
  fill_vectors<Vector, true>(
      {block.value, block.value_stride, block.count, strip.scores + at, strip.sums + at, strip.factor + at,
       block.value + block.count * block.value_stride, ahead, args.value_size},
      args.value_size, vectors);
}

/// Lines of a strip's panel times a vector for each vector of queries: `by(v)`.
template <class Vector, class By>
QB_INLINE void scale_lines(float* panel, std::int64_t lines, std::int64_t vectors, By by) {
  for (std::int64_t v = 0; v < vectors; ++v) {
    const auto factor = by(v * Vector::kLanes);
    for (std::int64_t t = 0; t < lines; ++t) {
      float* line = panel + t * QueryStrip<Vector>::kWidth + v * Vector::kLanes;
      Vector::store(line, Vector::multiply(Vector::load(line), factor));
    }
  }
}

/// Queries from strip.begin on, before they have seen any key.
template <class Vector>
void begin_strip(const AttentionArgs& args, const QueryStrip<Vector>& strip) {
  constexpr std::int64_t kLanes = Vector::kLanes, kWidth = QueryStrip<Vector>::kWidth;
  turn_into_panel<Vector>(args.q + strip.begin * args.q_stride, args.q_stride, strip.queries, args.key_size, strip.q,
                          kWidth);
  scale_lines<Vector>(strip.q, args.key_size, strip.vectors, [&](std::int64_t) { return Vector::all(args.scale); });
  for (std::int64_t at = 0; at < kWidth; at += kLanes) {
    Vector::store(strip.most + at, Vector::all(kLowest));
    Vector::store(strip.total + at, Vector::zero());
  }
  for (std::int64_t at = 0; at < args.value_size * kWidth; at += kLanes) Vector::store(strip.sums + at, Vector::zero());
}

/// Their results, after all keys.
template <class Vector>
void finish_strip(const AttentionArgs& args, const QueryStrip<Vector>& strip) {
  using Floats = typename Vector::Floats;
  scale_lines<Vector>(strip.sums, args.value_size, strip.vectors, [&](std::int64_t at) {
    const Floats total = Vector::load(strip.total + at), one = Vector::all(1.0f);
    return Vector::where_above(total, Vector::zero(), Vector::divide(one, total), Vector::zero());
  });
  turn_from_panel<Vector>(strip.sums, QueryStrip<Vector>::kWidth, strip.queries, args.value_size,
                          args.y + strip.begin * args.y_stride, args.y_stride);
}

template <class Vector>
void attend_strips(const AttentionArgs& args) {
  constexpr std::int64_t kWidth = QueryStrip<Vector>::kWidth, kLanes = Vector::kLanes,
                         kStrips = kAttentionQueries / kWidth;
  float* scratch = args.scratch;
  const auto take = [&](std::int64_t floats) {
    float* taken = scratch;
    scratch += floats;
    return taken;
  };
  float *scores = take(kBlockKeys * kWidth), *factor = take(kWidth);
  QueryStrip<Vector> strips[kStrips];
  std::int64_t count = 0;
  for (std::int64_t begin = 0; begin < args.queries; begin += kWidth) {
    const std::int64_t queries = args.queries - begin < kWidth ? args.queries - begin : kWidth;
    strips[count] = {begin,
                     queries,
                     (queries + kLanes - 1) / kLanes,
                     take(args.key_size * kWidth),
                     take(args.value_size * kWidth),
                     scores,
                     take(kWidth),
                     take(kWidth),
                     factor};
    begin_strip<Vector>(args, strips[count++]);
  }
  for_each_block(args, 0, args.queries, kBlockKeys, 16, [&](const KeyBlock& block) {
    for (std::int64_t i = 0; i < count; ++i)
      if (block.first < seen_by(args, strips[i].begin + strips[i].queries - 1))
        attend_block<Vector>(args, strips[i], block, i == 0 ? block.behind : 0);
  });
  for (std::int64_t i = 0; i < count; ++i) finish_strip<Vector>(args, strips[i]);
}

}  // namespace

}  // namespace qb
