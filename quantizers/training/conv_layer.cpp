#include <fmt/format.h>

#include <algorithm>

#include "quantizers/training/layer_rows.h"
#include "quantizers/training/product.h"

namespace qb {
namespace {

struct ConvGeometry {
  std::int64_t rows, channels, height, width;  ///< of the input
  std::int64_t filters, kernel_height, kernel_width;
  std::int64_t top, left, bottom, right;  ///< pads
  std::int64_t down, across;              ///< strides
  std::int64_t out_height() const { return (height + top + bottom - kernel_height) / down + 1; }
  std::int64_t out_width() const { return (width + left + right - kernel_width) / across + 1; }
  std::int64_t depth() const { return channels * kernel_height * kernel_width; }
  std::int64_t positions() const { return out_height() * out_width(); }
};

ConvGeometry geometry(const Node& node, const Shape& x, const Shape& w) {
  const std::vector<std::int64_t> pads = node.integers_or("pads", {0, 0, 0, 0});
  const std::vector<std::int64_t> strides = node.integers_or("strides", {1, 1});
  const std::vector<std::int64_t> dilations = node.integers_or("dilations", {1, 1});
  if (pads.size() != 4 || strides.size() != 2 || dilations != std::vector<std::int64_t>{1, 1} ||
      std::min(strides[0], strides[1]) < 1 || *std::min_element(pads.begin(), pads.end()) < 0 ||
      node.integer_or("group", 1) != 1 || node.text_or("auto_pad", "NOTSET") != "NOTSET")
    throw DataError(
        fmt::format("node '{}': a Conv can be trained with explicit pads, without groups and dilations", node.name));
  if (x.size() != 4 || w.size() != 4 || x[1] != w[1] || x[2] + pads[0] + pads[2] < w[2] ||
      x[3] + pads[1] + pads[3] < w[3])
    throw DataError(fmt::format("node '{}': input {} and weight {} do not fit as [rows, c, h, w] and [n, c, kh, kw]",
                                node.name, to_text(x), to_text(w)));
  return {x[0], x[1], x[2], x[3], w[0], w[2], w[3], pads[0], pads[1], pads[2], pads[3], strides[0], strides[1]};
}

/// The range of output columns whose input column at this tap lies inside the image.
struct Inside {
  std::int64_t begin, end;
};
Inside inside(std::int64_t tap, std::int64_t pad, std::int64_t stride, std::int64_t extent, std::int64_t outputs) {
  const std::int64_t begin = std::max<std::int64_t>(0, (pad - tap + stride - 1) / stride);
  const std::int64_t last = extent - 1 + pad - tap;
  return {begin, last < 0 ? begin : std::max(begin, std::min(outputs, last / stride + 1))};
}

/// Calls visit(offset into the columns [depth, positions], offset into one image, how many, step in the image) for runs
/// of equal output row and tap that lie inside the image.
template <class Visit>
void visit_runs(const ConvGeometry& g, Visit visit) {
  const std::int64_t out_height = g.out_height(), out_width = g.out_width();
  std::int64_t depth = 0;
  for (std::int64_t c = 0; c < g.channels; ++c) {
    for (std::int64_t i = 0; i < g.kernel_height; ++i) {
      const Inside rows = inside(i, g.top, g.down, g.height, out_height);
      for (std::int64_t j = 0; j < g.kernel_width; ++j, ++depth) {
        const Inside columns = inside(j, g.left, g.across, g.width, out_width);
        for (std::int64_t y = rows.begin; y < rows.end; ++y) {
          const std::int64_t source =
              (c * g.height + y * g.down + i - g.top) * g.width + columns.begin * g.across + j - g.left;
          visit((depth * out_height + y) * out_width + columns.begin, source, columns.end - columns.begin, g.across);
        }
      }
    }
  }
}

/// One image as columns [depth, positions]; positions outside the image are 0.
void gather(const ConvGeometry& g, const float* image, std::vector<float>& columns) {
  columns.assign(std::size_t(g.depth() * g.positions()), 0.0f);
  visit_runs(g, [&](std::int64_t to, std::int64_t from, std::int64_t count, std::int64_t step) {
    float* target = columns.data() + to;
    if (step == 1) {
      std::copy_n(image + from, count, target);
    } else {
      for (std::int64_t t = 0; t < count; ++t) target[t] = image[from + t * step];
    }
  });
}

Shape conv_shape(const Node& node, std::span<const Shape> inputs) {
  const ConvGeometry g = geometry(node, inputs[0], inputs[1]);
  if (inputs.size() > 2 && inputs[2] != Shape{g.filters})
    throw DataError(
        fmt::format("node '{}': bias {} does not fit {} filters", node.name, to_text(inputs[2]), g.filters));
  return {g.rows, g.filters, g.out_height(), g.out_width()};
}

/// For each image: y [filters, positions] = w [filters, depth] * columns, starting from the bias.
void conv_forward(const LayerCall& call, Tensor& output) {
  const Tensor &x = *call.inputs[0], &w = *call.inputs[1];
  const ConvGeometry g = geometry(call.node, x.shape, w.shape);
  const std::int64_t depth = g.depth(), positions = g.positions();
  for (std::int64_t row = 0; row < g.rows; ++row) {
    gather(g, x.as<float>().data() + row * g.channels * g.height * g.width, call.scratch.first);
    float* y = output.as<float>().data() + row * g.filters * positions;
    for (std::int64_t f = 0; f < g.filters; ++f)
      std::fill(y + f * positions, y + (f + 1) * positions,
                call.inputs.size() > 2 ? call.inputs[2]->as<float>()[std::size_t(f)] : 0.0f);
    add_product({.m = g.filters,
                 .n = positions,
                 .k = depth,
                 .a = w.as<float>().data(),
                 .a_row = depth,
                 .a_column = 1,
                 .b = call.scratch.first.data(),
                 .b_row = positions,
                 .c = y,
                 .c_row = positions});
  }
}

void turn_over(const std::vector<float>& from, std::int64_t rows, std::int64_t columns, std::vector<float>& to) {
  to.resize(from.size());
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j) to[std::size_t(j * rows + i)] = from[std::size_t(i * columns + j)];
}

/// For each image: dw += dy * columns', dbias += sums of dy over positions, dcolumns = w' * dy, scattered into dx.
void conv_backward(const LayerCall& call, const Tensor&, const Tensor& output_gradient,
                   std::span<Tensor* const> input_gradients) {
  const Tensor &x = *call.inputs[0], &w = *call.inputs[1];
  const ConvGeometry g = geometry(call.node, x.shape, w.shape);
  const std::int64_t depth = g.depth(), positions = g.positions(), pixels = g.channels * g.height * g.width;
  auto& [columns, turned, column_gradient] = call.scratch;
  for (std::int64_t row = 0; row < g.rows; ++row) {
    const float* dy = output_gradient.as<float>().data() + row * g.filters * positions;
    if (input_gradients[1]) {
      gather(g, x.as<float>().data() + row * pixels, columns);
      turn_over(columns, depth, positions, turned);
      add_product({.m = g.filters,
                   .n = depth,
                   .k = positions,
                   .a = dy,
                   .a_row = positions,
                   .a_column = 1,
                   .b = turned.data(),
                   .b_row = depth,
                   .c = input_gradients[1]->as<float>().data(),
                   .c_row = depth});
    }
    if (input_gradients.size() > 2 && input_gradients[2]) {
      float* db = input_gradients[2]->as<float>().data();
      for (std::int64_t f = 0; f < g.filters; ++f)
        for (std::int64_t p = 0; p < positions; ++p) db[f] += dy[f * positions + p];
    }
    if (input_gradients[0]) {
      column_gradient.assign(std::size_t(depth * positions), 0.0f);
      add_product({.m = depth,
                   .n = positions,
                   .k = g.filters,
                   .a = w.as<float>().data(),
                   .a_row = 1,
                   .a_column = depth,
                   .b = dy,
                   .b_row = positions,
                   .c = column_gradient.data(),
                   .c_row = positions});
      float* dx = input_gradients[0]->as<float>().data() + row * pixels;
      visit_runs(g, [&](std::int64_t from, std::int64_t to, std::int64_t count, std::int64_t step) {
        for (std::int64_t t = 0; t < count; ++t) dx[to + t * step] += column_gradient[std::size_t(from + t)];
      });
    }
  }
}

}  // namespace

TrainingOp conv_training_op() { return {"Conv", conv_shape, conv_forward, conv_backward}; }

}  // namespace qb
