#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "kernels/peers/attention.h"
#include "kernels/peers/openblas_library.h"

namespace qb {

namespace {

/// Weights of the first `seen` keys, 0 for the others.
void weigh_row(float* row, std::int64_t keys, std::int64_t seen) {
  const float most = *std::max_element(row, row + seen);
  float total = 0;
  for (std::int64_t j = 0; j < seen; ++j) total += row[j] = std::exp(row[j] - most);
  for (std::int64_t j = 0; j < seen; ++j) row[j] /= total;
  std::fill(row + seen, row + keys, 0.0f);
}

void attend_head(const AttentionCall& call, std::int64_t head, float* scores) {
  const Openblas& blas = openblas();
  const KeyValues& all = call.parts[0];
  const std::int64_t kv = head / (call.heads / call.kv_heads);
  const float *q = call.q + head * call.q_head, *key = all.key + kv * all.key_head,
              *value = all.value + kv * all.value_head;
  float* y = call.y + head * call.y_head;
  const int queries = int(call.queries), keys = int(all.positions), size = int(call.key_size),
            value_size = int(call.value_size), key_stride = int(all.key_position),
            value_stride = int(all.value_position);
  if (queries == 1)
    blas.sgemv(CblasRowMajor, CblasNoTrans, keys, size, call.scale, key, key_stride, q, 1, 0.0f, scores, 1);
  else
    blas.sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, queries, keys, size, call.scale, q, int(call.q_position), key,
               key_stride, 0.0f, scores, keys);
  for (std::int64_t i = 0; i < call.queries; ++i)
    weigh_row(scores + i * all.positions, all.positions, std::min(all.positions, call.first_unseen + i));
  if (queries == 1)
    blas.sgemv(CblasRowMajor, CblasTrans, keys, value_size, 1.0f, value, value_stride, scores, 1, 0.0f, y, 1);
  else
    blas.sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, queries, value_size, keys, 1.0f, scores, keys, value,
               value_stride, 0.0f, y, int(call.y_position));
}

}  // namespace

bool has_openblas() { return true; }

void attention_openblas(const AttentionCall& call, std::vector<std::vector<float>>& scores) {
  QB_EXPECTS(call.mask == nullptr && call.softcap == 0 && call.parts[1].positions == 0 && call.first_unseen >= 1);
  openblas();
  const std::int64_t workers = std::min<std::int64_t>(call.threads, call.heads);
  if (std::ssize(scores) < workers) scores.resize(std::size_t(workers));
  for (std::vector<float>& own : scores) own.resize(std::size_t(call.queries * call.parts[0].positions));
  parallel_for(workers, int(workers), 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t worker = first; worker < last; ++worker)
      for (std::int64_t head = worker; head < call.heads; head += workers)
        attend_head(call, head, scores[std::size_t(worker)].data());
  });
}

}  // namespace qb
