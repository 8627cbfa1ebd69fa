#include "kernels/attention.h"

#include <algorithm>
#include <functional>

#include "kernels/attention/variants.h"
#include "kernels/base/error.h"
#include "kernels/base/parallel.h"

namespace qb {

namespace {

constexpr std::int64_t kAlignment = 16;  ///< floats

void check_call(const AttentionCall& call) {
  QB_EXPECTS(call.queries >= 0 && call.heads >= 1 && call.kv_heads >= 1 && call.heads % call.kv_heads == 0);
  QB_EXPECTS(call.key_size >= 1 && call.value_size >= 1 && call.threads >= 1);
  QB_EXPECTS(call.queries == 0 || (call.q != nullptr && call.y != nullptr));
  for (const KeyValues& part : call.parts)
    QB_EXPECTS(part.positions >= 0 && (part.positions == 0 || (part.key != nullptr && part.value != nullptr)));
}

AttentionKeys keys_of(const KeyValues& part, std::int64_t head) {
  return {part.positions, part.key ? part.key + head * part.key_head : nullptr,
          part.value ? part.value + head * part.value_head : nullptr, part.key_position, part.value_position};
}

/// How a call is divided, whatever the threads: blocks of queries of each head or, of a single query, blocks of heads
/// that share their keys.
struct Division {
  bool by_heads;
  std::int64_t step, blocks;  ///< queries or heads of a block; blocks of a head or of a group of heads
  std::int64_t all;           ///< blocks of all heads
};

Division division_of(const AttentionCall& call, const AttentionVariant& variant) {
  const std::int64_t group = call.heads / call.kv_heads;
  if (call.queries == 1) {
    const std::int64_t step = std::min(group, variant.few_queries), blocks = (group + step - 1) / step;
    return {true, step, blocks, call.kv_heads * blocks};
  }
  const std::int64_t blocks = (call.queries + kAttentionQueries - 1) / kAttentionQueries;
  return {false, kAttentionQueries, blocks, call.heads * blocks};
}

AttentionArgs args_of(const AttentionCall& call, const Division& division, std::int64_t at) {
  const std::int64_t group = call.heads / call.kv_heads, begin = at % division.blocks * division.step;
  const std::int64_t head = division.by_heads ? at / division.blocks * group + begin : at / division.blocks,
                     query = division.by_heads ? 0 : begin;
  AttentionArgs args{};
  args.queries = std::min(division.step, (division.by_heads ? group : call.queries) - begin);
  args.key_size = call.key_size;
  args.value_size = call.value_size;
  args.q = call.q + query * call.q_position + head * call.q_head;
  args.q_stride = division.by_heads ? call.q_head : call.q_position;
  for (int part = 0; part < 2; ++part) args.parts[part] = keys_of(call.parts[part], head / group);
  const std::int64_t keys = call.parts[0].positions + call.parts[1].positions;
  args.first_unseen = std::min(call.first_unseen, keys) + query;
  args.unseen_step = division.by_heads ? 0 : 1;
  args.scale = call.scale;
  args.softcap = call.softcap;
  args.mask = call.mask ? call.mask + head * call.mask_head + query * call.mask_query : nullptr;
  args.mask_stride = division.by_heads ? call.mask_head : call.mask_query;
  args.y = call.y + query * call.y_position + head * call.y_head;
  args.y_stride = division.by_heads ? call.y_head : call.y_position;
  return args;
}

/// Its first element that is aligned, with `floats` behind it.
float* reserve(std::vector<float>& worker, std::int64_t floats) {
  if (std::ssize(worker) < floats + kAlignment) worker.resize(std::size_t(floats + kAlignment));
  const auto beyond = std::int64_t(reinterpret_cast<std::uintptr_t>(worker.data()) / sizeof(float)) % kAlignment;
  return worker.data() + (kAlignment - beyond) % kAlignment;
}

}  // namespace

std::int64_t AttentionScratch::bytes() const {
  std::int64_t bytes = 0;
  for (const std::vector<float>& worker : workers) bytes += std::int64_t(4 * worker.capacity());
  return bytes;
}

void attention(const AttentionCall& call, Isa isa, AttentionScratch& scratch) {
  check_call(call);
  if (call.queries == 0) return;
  const AttentionVariant& variant = best_attention(isa);
  const Division division = division_of(call, variant);
  const std::int64_t workers = std::min<std::int64_t>(call.threads, division.all);
  if (std::ssize(scratch.workers) < workers) scratch.workers.resize(std::size_t(workers));
  const std::int64_t floats = attention_scratch(call.key_size, call.value_size);
  for (std::int64_t worker = 0; worker < workers; ++worker) reserve(scratch.workers[std::size_t(worker)], floats);
  // Later blocks of a head see more keys: workers take blocks in turn, forwards, then backwards.
  const auto part = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t worker = first; worker < last; ++worker) {
      float* memory = reserve(scratch.workers[std::size_t(worker)], floats);
      for (std::int64_t turn = 0; turn * workers < division.all; ++turn) {
        const std::int64_t at = turn * workers + (turn % 2 == 0 ? worker : workers - 1 - worker);
        if (at >= division.all) continue;
        AttentionArgs args = args_of(call, division, at);
        args.scratch = memory;
        variant.run(args);
      }
    }
  };
  parallel_for(workers, int(workers), 1, std::cref(part));
}

}  // namespace qb
