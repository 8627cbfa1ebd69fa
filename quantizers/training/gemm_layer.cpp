#include <fmt/format.h>

#include "quantizers/training/layer_rows.h"
#include "quantizers/training/product.h"

namespace qb {
namespace {

Shape gemm_shape(const Node& node, std::span<const Shape> inputs) {
  if (node.integer_or("transB", 0) != 1 || node.integer_or("transA", 0) != 0 || node.number_or("alpha", 1) != 1.0f ||
      node.number_or("beta", 1) != 1.0f)
    throw DataError(fmt::format("node '{}': a Gemm can be trained with transB = 1 and no other attribute", node.name));
  const Shape& x = inputs[0];
  const Shape& w = inputs[1];
  if (x.size() != 2 || w.size() != 2 || x[1] != w[1] || (inputs.size() > 2 && inputs[2] != Shape{w[0]}))
    throw DataError(fmt::format("node '{}': input {} and weight {} do not fit as [rows, k] and [n, k] with a bias [n]",
                                node.name, to_text(x), to_text(w)));
  return {x[0], w[0]};
}

/// y' [n, rows] = w [n, k] * x' [k, rows]: turning the few rows over is cheaper than turning the weight over.
void gemm_forward(const LayerCall& call, Tensor& output) {
  const Tensor &x = *call.inputs[0], &w = *call.inputs[1];
  const std::int64_t rows = x.shape[0], k = x.shape[1], n = w.shape[0];
  std::vector<float>&turned = call.scratch.first, &result = call.scratch.second;
  turned.resize(std::size_t(rows * k));
  result.assign(std::size_t(rows * n), 0.0f);
  const float* values = x.as<float>().data();
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t p = 0; p < k; ++p) turned[std::size_t(p * rows + i)] = values[i * k + p];
  add_product({.m = n,
               .n = rows,
               .k = k,
               .a = w.as<float>().data(),
               .a_row = k,
               .a_column = 1,
               .b = turned.data(),
               .b_row = rows,
               .c = result.data(),
               .c_row = rows});
  const float* bias = call.inputs.size() > 2 ? call.inputs[2]->as<float>().data() : nullptr;
  float* y = output.as<float>().data();
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < n; ++j) y[i * n + j] = result[std::size_t(j * rows + i)] + (bias ? bias[j] : 0.0f);
}

/// dx += dy * w, dw += dy' * x, dbias += column sums of dy.
void gemm_backward(const LayerCall& call, const Tensor&, const Tensor& output_gradient,
                   std::span<Tensor* const> input_gradients) {
  const Tensor &x = *call.inputs[0], &w = *call.inputs[1];
  const std::int64_t rows = x.shape[0], k = x.shape[1], n = w.shape[0];
  const float* dy = output_gradient.as<float>().data();
  if (input_gradients[0])
    add_product({.m = rows,
                 .n = k,
                 .k = n,
                 .a = dy,
                 .a_row = n,
                 .a_column = 1,
                 .b = w.as<float>().data(),
                 .b_row = k,
                 .c = input_gradients[0]->as<float>().data(),
                 .c_row = k});
  if (input_gradients[1])
    add_product({.m = n,
                 .n = k,
                 .k = rows,
                 .a = dy,
                 .a_row = 1,
                 .a_column = n,
                 .b = x.as<float>().data(),
                 .b_row = k,
                 .c = input_gradients[1]->as<float>().data(),
                 .c_row = k});
  if (input_gradients.size() > 2 && input_gradients[2]) {
    float* db = input_gradients[2]->as<float>().data();
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < n; ++j) db[j] += dy[i * n + j];
  }
}

}  // namespace

TrainingOp gemm_training_op() { return {"Gemm", gemm_shape, gemm_forward, gemm_backward}; }

}  // namespace qb
