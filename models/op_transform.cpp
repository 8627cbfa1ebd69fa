// What quantizers put into a model that ONNX has no operator for.
#include <cmath>

#include "models/ops.h"

namespace qb {

namespace {

/// Sums and differences of `block` rows of `inner` values each, in place: the Walsh-Hadamard transform in its natural
/// order.
void transform_block(float* y, std::int64_t block, std::int64_t inner) {
  for (std::int64_t half = 1; half < block; half *= 2)
    for (std::int64_t begin = 0; begin < block; begin += 2 * half)
      for (std::int64_t i = begin; i < begin + half; ++i) {
        float *a = y + i * inner, *b = a + half * inner;
        for (std::int64_t t = 0; t < inner; ++t) {
          const float sum = a[t] + b[t], difference = a[t] - b[t];
          a[t] = sum;
          b[t] = difference;
        }
      }
}

/// y = H (s x) / sqrt(block) along `axis`, block by block, with signs s as the second input. Attributes: axis, -1 by
/// default; block, a power of two that divides the axis.
PlannedOp plan_hadamard(const OpSite& site) {
  site.expect_dtype(0, DType::f32);
  site.expect_dtype(1, DType::f32);
  const Shape& shape = site.shape(0);
  const std::size_t axis = site.axis(site.node->integer_or("axis", -1), std::ssize(shape));
  const std::int64_t extent = shape[axis], block = site.node->integer_or("block", 1);
  site.expect(block >= 1 && (block & (block - 1)) == 0 && extent % block == 0,
              "attribute 'block' must be a power of two that divides the axis");
  site.expect(element_count(site.shape(1)) == extent, "input 1 must have one sign per element of the axis");
  std::int64_t outer = 1, inner = 1;
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (i != axis) (i < axis ? outer : inner) *= shape[i];
  const float factor = float(1 / std::sqrt(double(block)));
  PlannedOp planned;
  planned.outputs = {{DType::f32, shape}};
  planned.overwrites = 1;
  planned.run = [=](const OpRun& run) {
    const float* x = run.inputs[0]->as<float>().data();
    const float* signs = run.inputs[1]->as<float>().data();
    float* y = run.outputs[0]->as<float>().data();
    for (std::int64_t o = 0; o < outer; ++o)
      for (std::int64_t begin = 0; begin < extent; begin += block) {
        const std::int64_t at = (o * extent + begin) * inner;
        for (std::int64_t i = 0; i < block; ++i) {
          const float scale = signs[begin + i] * factor;
          for (std::int64_t t = at + i * inner; t < at + (i + 1) * inner; ++t) y[t] = x[t] * scale;
        }
        transform_block(y + at, block, inner);
      }
  };
  return planned;
}

}  // namespace

std::span<const OperatorInfo> transform_operators() {
  static constexpr OperatorInfo kTable[] = {{"quantbench.Hadamard", 2, 2, 1, plan_hadamard}};
  return kTable;
}

}  // namespace qb
