// Which keys some queries see, block by block. Included under several instruction-set flags: everything is anonymous
// and inlined.
#pragma once
#include <cstdint>

#include "kernels/attention/attention.h"
#include "kernels/gemm_f32_f32/inlining.h"

namespace qb {

namespace {

inline constexpr float kLowest = -0x1.fffffep+127f;  ///< what scores begin at: no less than any but -infinity

/// Keys that lie in one part.
struct KeyBlock {
  const float *key, *value;
  std::int64_t key_stride, value_stride;
  std::int64_t first;  ///< counting through both parts
  std::int64_t count;
  std::int64_t behind;  ///< keys of the part that follow
};

/// Keys that query i sees, were there so many.
QB_INLINE std::int64_t seen_by(const AttentionArgs& args, std::int64_t i) {
  const std::int64_t seen = args.first_unseen + i * args.unseen_step;
  return seen < 0 ? 0 : seen;
}

/// Calls body(block) for the keys that any of queries [begin, end) sees, in rising order: in blocks of at most `most`
/// keys while all of them see these, of `few` beyond.
template <class Body>
QB_INLINE void for_each_block(const AttentionArgs& args, std::int64_t begin, std::int64_t end, std::int64_t most,
                              std::int64_t few, Body body) {
  const std::int64_t by_all = seen_by(args, begin), by_any = seen_by(args, end - 1);
  std::int64_t before = 0;
  for (const AttentionKeys& part : args.parts) {
    const std::int64_t left = by_any - before, keys = left < part.positions ? left : part.positions;
    for (std::int64_t at = 0; at < keys;) {
      const std::int64_t for_all = by_all - before - at, wanted = for_all <= 0 ? few : for_all < most ? for_all : most;
      const std::int64_t count = wanted < keys - at ? wanted : keys - at;
      body(KeyBlock{part.key + at * part.key_stride, part.value + at * part.value_stride, part.key_stride,
                    part.value_stride, before + at, count, keys - at - count});
      at += count;
    }
    before += part.positions;
  }
}

}  // namespace

}  // namespace qb
