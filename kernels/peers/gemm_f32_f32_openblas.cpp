#include "kernels/gemm_f32_f32/prepare.h"
#include "kernels/peers/openblas_library.h"
#include "kernels/peers/peers.h"

namespace qb {

Buffer prepare_f32_f32_openblas(const PackedMatrix& weights) {
  openblas();
  return prepare_f32_f32_ref(weights);
}

void gemm_f32_f32_openblas(const GemmArgs& args) {
  const auto* a = static_cast<const float*>(args.a);
  const float* w = static_cast<const float*>(args.w) + args.n_begin * args.k;
  float* y = args.y + args.n_begin;
  const int m = int(args.m), n = int(args.n_end - args.n_begin), k = int(args.k);
  if (m == 1)
    openblas().sgemv(CblasRowMajor, CblasNoTrans, n, k, 1.0f, w, k, a, 1, 0.0f, y, 1);
  else
    openblas().sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0f, a, int(args.a_stride), w, k, 0.0f, y,
                     int(args.y_stride));
}

}  // namespace qb
