// Random operands of attention, strided and aligned to floats only.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/attention.h"
#include "kernels/base/random.h"

namespace qb {

struct AttentionSizes {
  std::int64_t queries = 1, past = 0;  ///< keys of the first part; the second has one for each query
  std::int64_t heads = 1, kv_heads = 1, key_size = 1, value_size = 1;
};

/// Operands begin at element 1 of their vectors. Positions of queries, results and the second part hold all heads side
/// by side and some elements more; the first part holds all positions of a head side by side. Every query sees all
/// keys.
struct AttentionCase {
  AttentionSizes sizes;
  std::vector<float> q, y, mask;
  std::vector<float> key[2], value[2];  ///< by part
  AttentionCall call;

  AttentionCase(const AttentionSizes& given, std::uint64_t seed) : sizes(given) {
    Random random(seed);
    const auto fill = [&](std::vector<float>& values, std::int64_t count) {
      values.resize(std::size_t(1 + count));
      for (float& one : values) one = float(random.uniform(-1, 1));
      return values.data() + 1;
    };
    call.queries = sizes.queries;
    call.heads = sizes.heads;
    call.kv_heads = sizes.kv_heads;
    call.key_size = sizes.key_size;
    call.value_size = sizes.value_size;
    call.q_head = sizes.key_size;
    call.q_position = sizes.heads * sizes.key_size + 3;
    call.q = fill(q, sizes.queries * call.q_position);
    call.y_head = sizes.value_size;
    call.y_position = sizes.heads * sizes.value_size + kBetween;
    KeyValues &past = call.parts[0], &own = call.parts[1];
    past = {sizes.past,
            fill(key[0], sizes.kv_heads * sizes.past * sizes.key_size),
            fill(value[0], sizes.kv_heads * sizes.past * sizes.value_size),
            sizes.key_size,
            sizes.past * sizes.key_size,
            sizes.value_size,
            sizes.past * sizes.value_size};
    const std::int64_t key_position = sizes.kv_heads * sizes.key_size + 1,
                       value_position = sizes.kv_heads * sizes.value_size + 2;
    own = {sizes.queries,
           fill(key[1], sizes.queries * key_position),
           fill(value[1], sizes.queries * value_position),
           key_position,
           sizes.key_size,
           value_position,
           sizes.value_size};
    call.first_unseen = keys();
    call.scale = 0.7f;
    forget_results();
  }
  AttentionCase(const AttentionCase&) = delete;

  std::int64_t keys() const { return sizes.past + sizes.queries; }

  /// Values in [-2, 2), for all heads alike or by head, each row with an element more.
  void add_mask(bool shared) {
    Random random(5);
    call.mask_query = keys() + 1;
    call.mask_head = shared ? 0 : sizes.queries * call.mask_query;
    mask.resize(std::size_t((shared ? 1 : sizes.heads) * sizes.queries * call.mask_query));
    for (float& one : mask) one = float(random.uniform(-2, 2));
    call.mask = mask.data();
  }

  void forget_results() {
    y.assign(std::size_t(1 + sizes.queries * call.y_position), kUntouched);
    call.y = y.data() + 1;
  }
  /// [queries, heads, value_size]
  std::vector<float> results() const {
    std::vector<float> made;
    for (std::int64_t i = 0; i < sizes.queries; ++i)
      made.insert(made.end(), call.y + i * call.y_position,
                  call.y + i * call.y_position + sizes.heads * sizes.value_size);
    return made;
  }
  bool touched_elsewhere() const {
    bool touched = y[0] != kUntouched;
    for (std::int64_t i = 0; i < sizes.queries; ++i)
      for (std::int64_t t = 1; t <= kBetween; ++t) touched |= call.y[(i + 1) * call.y_position - t] != kUntouched;
    return touched;
  }

 private:
  static constexpr float kUntouched = -7.0f;
  static constexpr std::int64_t kBetween = 2;  ///< elements behind the results of each position
};

}  // namespace qb
