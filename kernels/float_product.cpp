#include "kernels/float_product.h"

#include <algorithm>

#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "kernels/gemm_f32_f32/prepare.h"
#include "kernels/panels.h"
#include "kernels/registry.h"

namespace qb {

namespace {

constexpr QuantFormat kFloats{};

float* at_least(Buffer& buffer, std::int64_t floats) {
  const std::size_t bytes = sizeof(float) * std::size_t(floats);
  if (buffer.size() < bytes) buffer = Buffer(bytes);
  return buffer.as<float>();
}

/// Columns [first, first + columns) of b as a panel of `width` columns, zeros behind the last.
void fill_panel(const FloatProduct& product, std::int64_t first, std::int64_t columns, std::int64_t width, float* out) {
  for (std::int64_t t = 0; t < product.k; ++t, out += width) {
    const float* from = product.b + t * product.b_row + first * product.b_column;
    if (product.b_column == 1) {
      std::copy(from, from + columns, out);
    } else {
      for (std::int64_t j = 0; j < columns; ++j) out[j] = from[j * product.b_column];
    }
    std::fill(out + columns, out + width, 0.0f);
  }
}

/// The rows of a, each side by side.
void copy_rows(const FloatProduct& product, float* out) {
  for (std::int64_t i = 0; i < product.m; ++i)
    for (std::int64_t t = 0; t < product.k; ++t) *out++ = product.a[i * product.a_row + t * product.a_column];
}

/// One panel of one product.
void multiply_panel(const FloatProduct& product, const float* a, std::int64_t a_stride, std::int64_t first,
                    const KernelInfo& kernel, FloatProductScratch::Worker& worker) {
  const PanelShape shape = f32_panel_shape(kernel.needs);
  const std::int64_t columns = std::min(shape.columns, product.n - first), width = round_up(columns, shape.vector);
  float* panel = at_least(worker.panel, product.k * shape.columns);
  fill_panel(product, first, columns, width, panel);
  GemmArgs args{};
  args.m = product.m;
  args.n = args.n_end = columns;
  args.k = product.k;
  args.a = a;
  args.a_stride = a_stride;
  args.w = panel;
  args.y = product.y + first;
  args.y_stride = product.y_row;
  args.threads = 1;
  kernel.run(args);
}

}  // namespace

std::int64_t FloatProductScratch::bytes() const {
  std::size_t bytes = 0;
  for (const Worker& worker : workers) bytes += worker.panel.size() + worker.rows.size();
  return std::int64_t(bytes);
}

void multiply_floats(std::int64_t count, const std::function<FloatProduct(std::int64_t)>& product, Isa isa, int threads,
                     FloatProductScratch& scratch) {
  QB_EXPECTS(count >= 0 && threads >= 1);
  if (count == 0) return;
  const FloatProduct shape = product(0);
  QB_EXPECTS(shape.m >= 0 && shape.n >= 0 && shape.k >= 0);
  if (shape.m == 0 || shape.n == 0) return;
  const KernelInfo& kernel =
      *choose_kernel(isa == Isa::none ? "reference" : "best", Activations::f32, kFloats, shape.k, shape.m, isa);
  const std::int64_t step = f32_panel_shape(kernel.needs).columns, panels = (shape.n + step - 1) / step;
  const std::int64_t all = count * panels, workers = std::min<std::int64_t>(threads, all);
  if (std::ssize(scratch.workers) < workers) scratch.workers.resize(std::size_t(workers));
  const auto part = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t w = first; w < last; ++w) {
      FloatProductScratch::Worker& worker = scratch.workers[std::size_t(w)];
      const std::int64_t begin = all * w / workers, end = all * (w + 1) / workers;
      for (std::int64_t at = begin; at < end; ++at) {
        const FloatProduct own = product(at / panels);
        if (own.k == 0) {
          for (std::int64_t i = 0; i < own.m; ++i) std::fill_n(own.y + i * own.y_row, own.n, 0.0f);
          continue;
        }
        const bool turned = own.a_column != 1;
        float* rows = turned ? at_least(worker.rows, own.m * own.k) : nullptr;
        if (turned && (at == begin || at % panels == 0)) copy_rows(own, rows);
        multiply_panel(own, turned ? rows : own.a, turned ? own.k : own.a_row, at % panels * step, kernel, worker);
      }
    }
  };
  parallel_for(workers, int(workers), 1, std::cref(part));
}

}  // namespace qb
