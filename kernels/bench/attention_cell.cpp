#include "kernels/bench/attention_cell.h"

#include <algorithm>
#include <cmath>

#include "kernels/attention/variants.h"
#include "kernels/base/random.h"
#include "kernels/bench/choice.h"
#include "kernels/peers/attention.h"

namespace qb {

namespace {

/// Our variants, the reference first, then rising preference; last the peer.
const std::vector<KernelInfo>& all_kernels() {
  static const std::vector<KernelInfo> kKernels = [] {
    std::vector<KernelInfo> made;
    for (const AttentionVariant& variant : attention_variants())
      made.push_back({.name = variant.name,
                      .family = "attention",
                      .needs = variant.needs,
                      .reference = variant.run == attention_ref});
    if (has_openblas()) made.push_back({.name = "attention_f32_openblas", .family = "attention", .peer = true});
    return made;
  }();
  return kKernels;
}

bool is_asked_for(const KernelInfo& kernel, const LayerShape& shape, const std::vector<std::string>& wanted) {
  const auto word = [&](std::string_view one) { return std::ranges::find(wanted, one) != wanted.end(); };
  if (!includes(host_isa(), kernel.needs)) return false;
  if (kernel.reference && operations(shape) > 2 * double(kReferenceProducts)) return false;
  if (word("all")) return true;
  if (kernel.peer) return word("peers");
  return (kernel.reference && word("reference")) || (word("best") && best_attention(host_isa()).name == kernel.name);
}

/// Keys and values, one behind the other, and queries, each [heads, positions, size].
struct Operands {
  Buffer keys_and_values, q;

  explicit Operands(const Heads& heads)
      : keys_and_values(std::size_t(8 * heads.kv_heads * heads.keys * heads.size)),
        q(std::size_t(4 * heads.heads * heads.queries * heads.size)) {
    Random random(/*seed=*/1, /*stream=*/4);
    for (Buffer* one : {&keys_and_values, &q})
      for (std::size_t i = 0; i < one->size() / 4; ++i) one->as<float>()[i] = float(random.uniform(-1, 1));
  }
};

AttentionCall call_of(const Heads& heads, const Operands& operands, float* y) {
  const std::int64_t head = heads.keys * heads.size, own = heads.queries * heads.size;
  const float* keys = operands.keys_and_values.as<float>();
  AttentionCall call;
  call.queries = heads.queries;
  call.heads = heads.heads;
  call.kv_heads = heads.kv_heads;
  call.key_size = call.value_size = heads.size;
  call.q = operands.q.as<float>();
  call.q_position = call.y_position = heads.size;
  call.q_head = call.y_head = own;
  call.parts[0] = {heads.keys, keys, keys + heads.kv_heads * head, heads.size, head, heads.size, head};
  call.first_unseen = heads.causal ? heads.keys - heads.queries + 1 : heads.keys;
  call.scale = 1 / std::sqrt(float(heads.size));
  call.y = y;
  return call;
}

/// What the reference gives, and the same with the magnitudes of all values.
struct RightResult {
  std::vector<float> values, magnitudes;
};

RightResult right_result(const Heads& heads, const Operands& operands) {
  RightResult right;
  AttentionScratch scratch;
  right.values.resize(operands.q.size() / 4);
  attention(call_of(heads, operands, right.values.data()), Isa::none, scratch);
  Operands positive = operands;
  const std::span<float> all(positive.keys_and_values.as<float>(), operands.keys_and_values.size() / 4);
  for (float& value : all.subspan(all.size() / 2)) value = std::abs(value);
  right.magnitudes.resize(right.values.size());
  attention(call_of(heads, positive, right.magnitudes.data()), Isa::none, scratch);
  return right;
}

/// How far a result may be from the reference, in sums of weight times |value|: as tests/kernels/attention_test.cpp
/// derives it, where queries and keys are at most 1, so that scores are at most sqrt(size).
double bound_of(const Heads& heads) {
  const double size = double(heads.size), score = std::sqrt(size), keys = double(heads.keys);
  const double weight = (size + 2) * score + 2 * (2 * score) + 4 + keys + 8 + 6 * (keys / 16 + 6);
  return std::expm1(2 * weight * 0x1p-24) + 0x1p-24;
}

/// One kernel, and what it has made.
struct Attending {
  const KernelInfo* kernel = nullptr;
  AttentionCall call;
  std::vector<float> y;
  AttentionScratch scratch;
  std::vector<std::vector<float>> scores;  ///< of the peer

  void run(int threads) {
    call.threads = threads;
    if (kernel->peer) return attention_openblas(call, scores);
    attention(call, kernel->needs, scratch);
  }
};

}  // namespace

std::vector<TableRow> measure_attention(const Bench& bench, const Options& options, const LayerShape& shape) {
  const Operands operands(shape.heads);
  const RightResult right = right_result(shape.heads, operands);
  std::vector<Attending> all;
  for (const KernelInfo& kernel : all_kernels()) {
    if (!is_asked_for(kernel, shape, options.kernels)) continue;
    Attending one{
        .kernel = &kernel, .call = {}, .y = std::vector<float>(right.values.size()), .scratch = {}, .scores = {}};
    one.call = call_of(shape.heads, operands, one.y.data());
    all.push_back(std::move(one));
  }
  std::vector<Candidate> candidates;
  const auto bytes = std::int64_t(operands.keys_and_values.size());
  for (Attending& one : all) {
    Candidate candidate{
        .kernel = one.kernel, .bytes = bytes, .cold = bytes >= bench.cold_bytes, .arithmetic = Limit::f32};
    candidate.run = [&](int threads) { one.run(threads); };
    candidate.result = [&] { return std::as_bytes(std::span(one.y)); };
    candidate.compare = [&] { return compare_within(bound_of(shape.heads), right.magnitudes, right.values, one.y); };
    candidate.read_rate = [&](int threads, std::int64_t runs, std::size_t) {
      const std::int64_t size = bytes / (4096 * threads) * 4096 * threads;
      return size == 0 ? 0.0 : read_rate_now(operands.keys_and_values.data(), size, threads, runs);
    };
    candidates.push_back(std::move(candidate));
  }
  return measure_cell(bench, ProductFormat{}, shape, options.threads, candidates);
}

}  // namespace qb
