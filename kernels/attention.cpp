#include "kernels/attention.h"

#include <algorithm>
#include <functional>

#include "kernels/attention/variants.h"
#include "kernels/base/error.h"
#include "kernels/base/parallel.h"

namespace qb {

namespace {

constexpr std::int64_t kQueriesAtOnce = 64;

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

/// Queries [begin, end) of one head.
AttentionArgs args_of(const AttentionCall& call, std::int64_t head, std::int64_t begin, std::int64_t end) {
  AttentionArgs args{};
  args.queries = end - begin;
  args.key_size = call.key_size;
  args.value_size = call.value_size;
  args.q = call.q + begin * call.q_position + head * call.q_head;
  args.q_stride = call.q_position;
  const std::int64_t kv_head = head / (call.heads / call.kv_heads);
  for (int part = 0; part < 2; ++part) args.parts[part] = keys_of(call.parts[part], kv_head);
  args.first_unseen = call.first_unseen + begin;
  args.scale = call.scale;
  args.softcap = call.softcap;
  args.mask = call.mask ? call.mask + head * call.mask_head + begin * call.mask_query : nullptr;
  args.mask_stride = call.mask_query;
  args.y = call.y + begin * call.y_position + head * call.y_head;
  args.y_stride = call.y_position;
  return args;
}

}  // namespace

std::int64_t AttentionScratch::bytes() const {
  std::int64_t bytes = 0;
  for (const std::vector<float>& worker : workers) bytes += std::int64_t(4 * worker.capacity());
  return bytes;
}

void attention(const AttentionCall& call, Isa isa, AttentionScratch& scratch) {
  check_call(call);
  const AttentionVariant variant = best_attention(isa);
  const std::int64_t blocks = (call.queries + kQueriesAtOnce - 1) / kQueriesAtOnce, all = call.heads * blocks;
  const std::int64_t workers = std::min<std::int64_t>(call.threads, all);
  if (workers == 0) return;
  if (std::ssize(scratch.workers) < workers) scratch.workers.resize(std::size_t(workers));
  const auto part = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t worker = first; worker < last; ++worker)
      for (std::int64_t at = all * worker / workers; at < all * (worker + 1) / workers; ++at) {
        const std::int64_t begin = at % blocks * kQueriesAtOnce, end = std::min(call.queries, begin + kQueriesAtOnce);
        variant.run(args_of(call, at / blocks, begin, end));
      }
  };
  parallel_for(workers, int(workers), 1, std::cref(part));
}

}  // namespace qb
