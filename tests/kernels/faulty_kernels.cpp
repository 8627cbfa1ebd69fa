// Kernels that are wrong in one element per call. A program that links this file has them in its table; it proves that
// what claims to find wrong kernels finds them. Linked into test programs only, through the target qb_faulty_kernels.
#include "kernels/depthwise_f32_f32/depthwise_f32_f32.h"
#include "kernels/depthwise_f32_f32/prepare.h"
#include "kernels/depthwise_s8_q8/depthwise_s8_q8.h"
#include "kernels/depthwise_s8_q8/prepare.h"
#include "kernels/gemm_f32_f32/gemm_f32_f32.h"
#include "kernels/gemm_f32_f32/prepare.h"
#include "kernels/gemm_s8_q8/gemm_s8_q8.h"
#include "kernels/gemm_s8_q8/prepare.h"
#include "kernels/registry.h"

namespace qb {

namespace {

/// Far outside any rounding bound, whatever the value was.
float spoilt(float value) { return 1.5f * value + 1.0f; }

void gemm_f32_f32_faulty(const GemmArgs& args) {
  gemm_f32_f32_ref(args);
  args.y[args.n_begin] = spoilt(args.y[args.n_begin]);
}

void gemm_s8_q8_faulty(const GemmArgs& args) {
  gemm_s8_q8_ref(args);
  args.y[args.n_begin] = spoilt(args.y[args.n_begin]);
}

void depthwise_f32_f32_faulty(const DepthwiseArgs& args) {
  depthwise_f32_f32_ref(args);
  float& first = args.y[args.channel_begin * args.out[0] * args.out[1]];
  first = spoilt(first);
}

void depthwise_s8_q8_faulty(const DepthwiseArgs& args) {
  depthwise_s8_q8_ref(args);
  float& first = args.y[args.channel_begin * args.out[0] * args.out[1]];
  first = spoilt(first);
}

constexpr KernelInfo kFaulty[] = {
    {.name = "gemm_f32_f32_faulty",
     .family = "gemm_f32_f32",
     .activations = Activations::f32,
     .accepts = gemm_f32_f32_accepts,
     .prepare = prepare_f32_f32_ref,
     .run = gemm_f32_f32_faulty,
     .by_name_only = true},
    {.name = "gemm_s8_q8_faulty",
     .family = "gemm_s8_q8",
     .activations = Activations::s8,
     .accepts = gemm_s8_q8_accepts,
     .prepare = prepare_s8_q8_ref,
     .run = gemm_s8_q8_faulty,
     .by_name_only = true},
    {.name = "depthwise_f32_f32_faulty",
     .family = "depthwise_f32_f32",
     .activations = Activations::f32,
     .operation = Operation::depthwise,
     .accepts = depthwise_f32_f32_accepts,
     .prepare = prepare_depthwise_f32_f32,
     .depthwise = depthwise_f32_f32_faulty,
     .by_name_only = true},
    {.name = "depthwise_s8_q8_faulty",
     .family = "depthwise_s8_q8",
     .activations = Activations::s8,
     .operation = Operation::depthwise,
     .accepts = depthwise_s8_q8_accepts,
     .prepare = prepare_depthwise_s8_q8,
     .depthwise = depthwise_s8_q8_faulty,
     .by_name_only = true},
};

}  // namespace

std::span<const KernelInfo> test_kernels() { return kFaulty; }

}  // namespace qb
