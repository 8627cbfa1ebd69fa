// Products of integer codes with exact int32 sums: plain loops, which define the operators. Where the weights are
// constant the executor has kernels compute the same (integer_layer.h). Source: ONNX MatMulInteger, ConvInteger,
// QLinearMatMul and QLinearConv (opset 10).
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "kernels/base/parallel.h"
#include "models/broadcast.h"
#include "models/integer_result.h"
#include "models/ops.h"
#include "models/window.h"

namespace qb {

namespace {

constexpr std::int64_t kProductsPerThread = 1 << 16;  ///< fewer are not worth another thread

bool is_byte(DType type) { return type == DType::u8 || type == DType::i8; }

void expect_bytes(const OpSite& site, std::size_t input) {
  if (!is_byte(site.dtype(input)))
    site.fail(fmt::format("input {} is {} but must be u8 or i8", input, name_of(site.dtype(input))));
}

std::int32_t code_at(const Tensor& tensor, std::int64_t i) {
  return tensor.dtype == DType::u8 ? std::int32_t(tensor.as<std::uint8_t>()[std::size_t(i)])
                                   : std::int32_t(tensor.as<std::int8_t>()[std::size_t(i)]);
}

/// Codes less their zero points, in [-255, 255].
using Codes = std::vector<std::int16_t>;

/// Element i has the zero point i / inner % count.
Codes centred(const Tensor& codes, const Tensor* zero, std::int64_t inner) {
  Codes result(std::size_t(codes.size()));
  const std::int64_t count = zero ? zero->size() : 1;
  for (std::int64_t i = 0; i < std::ssize(result); ++i)
    result[std::size_t(i)] =
        std::int16_t(code_at(codes, i) - (zero ? code_at(*zero, count == 1 ? 0 : i / inner % count) : 0));
  return result;
}

/// An operand less its zero points: made when planning where both are constants, else by every run.
class CentredOperand {
 public:
  /// Inputs `codes` and `zero` of the node; the zero point of element i is number i / inner % count.
  CentredOperand(const OpSite& site, std::size_t codes, std::size_t zero, std::int64_t inner)
      : codes_(codes), zero_(zero), inner_(inner) {
    const OpInput &values = site.inputs[codes], &points = site.inputs[zero];
    if (values.constant && (!points.given || points.constant))
      known_ = centred(*values.constant, points.constant, inner);
  }

  const Codes& of(const OpRun& run, Codes& scratch) const {
    if (known_) return *known_;
    scratch = centred(*run.inputs[codes_], zero_ < run.inputs.size() ? run.inputs[zero_] : nullptr, inner_);
    return scratch;
  }

 private:
  std::size_t codes_, zero_;
  std::int64_t inner_;
  std::optional<Codes> known_;
};

std::int32_t add_product(std::int32_t sum, std::int16_t a, std::int16_t b) {
  return wrapping_sum(sum, std::int32_t(a) * std::int32_t(b));
}

/// The shape and loops of an integer matrix product.
struct IntegerMatMul {
  std::int64_t m = 1, n = 1, k = 1, products = 1;
  BroadcastWalk walk;
  Shape shape;

  std::vector<std::int32_t> operator()(const Codes& a, const Codes& b, int threads) const {
    std::vector<std::int32_t> y(std::size_t(products * m * n), 0);
    if (y.empty()) return y;
    for_each_outer(walk, [&](std::int64_t at, const std::int64_t* offset) {
      for (std::int64_t i = 0; i < walk.inner; ++i)
        multiply(a.data() + (offset[0] + i * walk.inner_step[0]) * m * k,
                 b.data() + (offset[1] + i * walk.inner_step[1]) * k * n, y.data() + (at + i) * m * n, threads);
    });
    return y;
  }

 private:
  void multiply(const std::int16_t* a, const std::int16_t* b, std::int32_t* y, int threads) const {
    const auto rows = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        for (std::int64_t t = 0; t < k; ++t)
          for (std::int64_t j = 0; j < n; ++j) y[i * n + j] = add_product(y[i * n + j], a[i * k + t], b[t * n + j]);
    };
    parallel_for(m, threads, std::max<std::int64_t>(1, kProductsPerThread / std::max<std::int64_t>(1, n * k)),
                 std::cref(rows));
  }
};

IntegerMatMul plan_product(const OpSite& site, std::size_t a_input, std::size_t b_input) {
  expect_bytes(site, a_input);
  expect_bytes(site, b_input);
  const Shape &a = site.shape(a_input), &b = site.shape(b_input);
  if (a.size() < 2 || b.size() < 2 || a.back() != b[b.size() - 2])
    site.fail(fmt::format("shapes {} and {} do not multiply", to_text(a), to_text(b)));
  const Shape a_outer(a.begin(), a.end() - 2), b_outer(b.begin(), b.end() - 2);
  IntegerMatMul product;
  product.shape = broadcast_shape(
      site, std::vector<OpInput>{{true, DType::i8, a_outer, nullptr}, {true, DType::i8, b_outer, nullptr}});
  product.products = element_count(product.shape);
  if (product.products > 0) product.walk = plan_walk(product.shape, {a_outer, b_outer});
  product.m = a[a.size() - 2];
  product.k = a.back();
  product.n = b.back();
  product.shape.push_back(product.m);
  product.shape.push_back(product.n);
  return product;
}

/// A parameter is one value, or one per index of an axis of `extent`.
void expect_parameter(const OpSite& site, std::size_t input, std::int64_t extent) {
  if (!site.has(input)) return;
  const std::int64_t count = element_count(site.shape(input));
  if (count != 1 && count != extent)
    site.fail(fmt::format("input {} has {} elements; 1 or {} would fit", input, count, extent));
}

std::function<void(const OpRun&)> run_of(const IntegerMatMul& product, const IntegerResult& result,
                                         const CentredOperand& a, const CentredOperand& b) {
  return [=](const OpRun& run) {
    Codes left, right;
    const auto sums = product(a.of(run, left), b.of(run, right), run.threads);
    IntegerResult to = result;
    to.read(run);
    for (std::int64_t row = 0; row < product.products * product.m; ++row)
      to.store_row(row, sums.data() + row * product.n);
  };
}

PlannedOp plan_matmul_integer(const OpSite& site) {
  const IntegerMatMul product = plan_product(site, 0, 1);
  for (std::size_t input = 2; input < 4; ++input)
    if (site.has(input)) site.expect_dtype(input, site.dtype(input - 2));
  expect_parameter(site, 2, product.m);
  expect_parameter(site, 3, product.n);
  PlannedOp planned;
  planned.outputs = {{DType::i32, product.shape}};
  planned.run = run_of(product, IntegerResult(site, product.n), CentredOperand(site, 0, 2, product.k),
                       CentredOperand(site, 1, 3, 1));
  return planned;
}

/// y[i] += weight * x[i * stride + shift] for i in `columns`.
void add_row(std::int32_t* y, Reach columns, std::int16_t weight, const std::int16_t* x, std::int64_t stride,
             std::int64_t shift) {
  if (stride == 1) {
    for (std::int64_t i = columns.first; i < columns.last; ++i) y[i] = add_product(y[i], weight, x[i + shift]);
  } else {
    for (std::int64_t i = columns.first; i < columns.last; ++i) y[i] = add_product(y[i], weight, x[i * stride + shift]);
  }
}

/// An exact convolution of centred codes; padding is real zero.
std::vector<std::int32_t> convolve(const ConvShape& conv, const Codes& x, const Codes& w, int threads) {
  const Window& window = conv.window;
  const std::int64_t per_group = conv.in_channels / conv.groups, plane = window.in[0] * window.in[1];
  std::vector<std::int32_t> y(std::size_t(conv.batch * conv.out_channels * window.positions()), 0);
  const auto planes = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t out = begin; out < end; ++out) {
      const std::int64_t sample = out / conv.out_channels, channel = out % conv.out_channels;
      const std::int64_t group = channel / (conv.out_channels / conv.groups);
      std::int32_t* result = y.data() + out * window.positions();
      for (std::int64_t t = 0; t < conv.k(); ++t) {
        const std::int64_t c = t / window.area(), ky = t / window.kernel[1] % window.kernel[0],
                           kx = t % window.kernel[1];
        const std::int16_t* from = x.data() + (sample * conv.in_channels + group * per_group + c) * plane;
        const std::int16_t weight = w[std::size_t(channel * conv.k() + t)];
        const Reach rows = reach(window, 0, ky), columns = reach(window, 1, kx);
        for (std::int64_t oy = rows.first; oy < rows.last; ++oy) {
          const std::int16_t* row =
              from + (oy * window.stride[0] + ky * window.dilation[0] - window.begin[0]) * window.in[1];
          const std::int64_t shift = kx * window.dilation[1] - window.begin[1];
          add_row(result + oy * window.out[1], columns, weight, row, window.stride[1], shift);
        }
      }
    }
  };
  const std::int64_t products = std::max<std::int64_t>(1, window.positions() * conv.k());
  parallel_for(conv.batch * conv.out_channels, threads, std::max<std::int64_t>(1, kProductsPerThread / products),
               std::cref(planes));
  return y;
}

ConvShape plan_integer_conv(const OpSite& site, std::size_t w_input) {
  expect_bytes(site, 0);
  expect_bytes(site, w_input);
  const Shape& w = site.shape(w_input);
  if (w.size() != site.shape(0).size()) site.fail(fmt::format("weights of shape {} do not fit the input", to_text(w)));
  const ConvShape conv = plan_conv_shape(site, w[0], {w.begin() + 2, w.end()});
  if (w[1] * conv.groups != conv.in_channels)
    site.fail(fmt::format("weights of shape {} in {} groups do not fit {} input channels", to_text(w), conv.groups,
                          conv.in_channels));
  return conv;
}

std::function<void(const OpRun&)> run_of(const ConvShape& conv, const IntegerResult& result, const CentredOperand& x,
                                         const CentredOperand& w) {
  return [=](const OpRun& run) {
    Codes left, right;
    const auto sums = convolve(conv, x.of(run, left), w.of(run, right), run.threads);
    const std::int64_t positions = conv.window.positions();
    IntegerResult to = result;
    to.read(run);
    for (std::int64_t plane = 0; plane < conv.batch * conv.out_channels; ++plane)
      to.store_channel(plane % conv.out_channels, sums.data() + plane * positions, positions, plane * positions);
  };
}

PlannedOp plan_conv_integer(const OpSite& site) {
  const ConvShape conv = plan_integer_conv(site, 1);
  if (site.has(2)) site.expect_dtype(2, site.dtype(0));
  if (site.has(3)) site.expect_dtype(3, site.dtype(1));
  expect_parameter(site, 2, 1);
  expect_parameter(site, 3, conv.out_channels);
  PlannedOp planned;
  planned.outputs = {{DType::i32, window_result(site, conv.window, conv.out_channels)}};
  planned.run = run_of(conv, IntegerResult(site, conv.out_channels), CentredOperand(site, 0, 2, 1),
                       CentredOperand(site, 1, 3, conv.k()));
  return planned;
}

void expect_scale(const OpSite& site, std::size_t input) {
  if (site.dtype(input) != DType::f32 && site.dtype(input) != DType::f16)
    site.fail(fmt::format("input {} is {} but scales must be f32 or f16", input, name_of(site.dtype(input))));
}

/// Inputs a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero.
PlannedOp plan_qlinear_matmul(const OpSite& site) {
  const IntegerMatMul product = plan_product(site, 0, 3);
  for (const std::size_t input : {1, 4, 6}) expect_scale(site, input);
  site.expect_dtype(2, site.dtype(0));
  site.expect_dtype(5, site.dtype(3));
  expect_bytes(site, 7);
  for (const std::size_t input : {1, 2}) expect_parameter(site, input, product.m);
  for (const std::size_t input : {4, 5}) expect_parameter(site, input, product.n);
  for (const std::size_t input : {6, 7}) expect_parameter(site, input, 1);
  PlannedOp planned;
  planned.outputs = {{site.dtype(7), product.shape}};
  planned.run = run_of(product, IntegerResult(site, product.n), CentredOperand(site, 0, 2, product.k),
                       CentredOperand(site, 3, 5, 1));
  return planned;
}

/// Inputs x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias (int32).
PlannedOp plan_qlinear_conv(const OpSite& site) {
  const ConvShape conv = plan_integer_conv(site, 3);
  for (const std::size_t input : {1, 4, 6}) expect_scale(site, input);
  site.expect_dtype(2, site.dtype(0));
  site.expect_dtype(5, site.dtype(3));
  expect_bytes(site, 7);
  for (const std::size_t input : {1, 2, 6, 7}) expect_parameter(site, input, 1);
  for (const std::size_t input : {4, 5}) expect_parameter(site, input, conv.out_channels);
  if (site.has(8)) {
    site.expect_dtype(8, DType::i32);
    site.expect(site.shape(8) == Shape{conv.out_channels}, "the bias must have one element per output channel");
  }
  PlannedOp planned;
  planned.outputs = {{site.dtype(7), window_result(site, conv.window, conv.out_channels)}};
  planned.run = run_of(conv, IntegerResult(site, conv.out_channels), CentredOperand(site, 0, 2, 1),
                       CentredOperand(site, 3, 5, conv.k()));
  return planned;
}

constexpr OperatorInfo kTable[] = {
    {"ConvInteger", 2, 4, 1, plan_conv_integer},
    {"MatMulInteger", 2, 4, 1, plan_matmul_integer},
    {"QLinearConv", 8, 9, 1, plan_qlinear_conv},
    {"QLinearMatMul", 8, 8, 1, plan_qlinear_matmul},
};

}  // namespace

std::span<const OperatorInfo> integer_operators() { return kTable; }

}  // namespace qb
