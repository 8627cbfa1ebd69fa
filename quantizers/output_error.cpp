#include "quantizers/output_error.h"

#include <algorithm>

#include "quantizers/training/product.h"

namespace qb {

MeanProducts::MeanProducts(const LayerInputs& inputs, std::size_t group, std::int64_t columns) : k(columns) {
  const double rows = double(std::max<std::int64_t>(inputs.rows, 1));
  values.reserve(inputs.moments[group].size());
  for (const double moment : inputs.moments[group]) values.push_back(float(moment / rows));
}

void MeanProducts::multiply(const float* differences, std::int64_t rows, std::int64_t begin, std::int64_t width,
                            float* results) const {
  std::fill_n(results, rows * width, 0.0f);
  add_product({rows, width, width, differences, width, 1, values.data() + begin * k + begin, k, results, width});
}

void MeanProducts::errors(const float* differences, std::int64_t rows, std::int64_t begin, std::int64_t width,
                          std::span<double> errors) const {
  std::vector<float> products(std::size_t(rows * width));
  multiply(differences, rows, begin, width, products.data());
  for (std::int64_t r = 0; r < rows; ++r) {
    double sum = 0;
    for (std::int64_t j = r * width; j < (r + 1) * width; ++j)
      sum += double(differences[j]) * double(products[std::size_t(j)]);
    errors[std::size_t(r)] = std::max(sum, 0.0);
  }
}

QuickProducts::QuickProducts(const MeanProducts& products) : k_(products.k) {
  constexpr std::int64_t kStrip = 512;
  for (std::int64_t begin = 0; begin < k_; begin += kStrip) {
    Strip strip{begin, std::min(begin + kStrip, k_), {}};
    std::vector<float> values;
    for (std::int64_t i = begin; i < strip.end; ++i)
      for (std::int64_t j = 0; j < strip.end; ++j)
        values.push_back(products.values[std::size_t(i * k_ + j)] * (j < begin ? 2.0f : 1.0f));
    const PackedMatrix packed = pack_f32({values.data(), strip.end - begin, strip.end, strip.end});
    const KernelInfo* kernel = choose_kernel("best", Activations::f32, packed.format, packed.k, packed.n, host_isa());
    QB_EXPECTS(kernel != nullptr);
    strip.products = prepare(*kernel, packed);
    strips_.push_back(std::move(strip));
  }
}

void QuickProducts::errors(const float* differences, std::span<double> errors) const {
  std::ranges::fill(errors, 0.0);
  std::vector<float> images;
  GemmScratch scratch;
  for (const Strip& strip : strips_) {
    const std::int64_t width = strip.end - strip.begin;
    images.resize(errors.size() * std::size_t(width));
    GemmCall call;
    call.m = std::ssize(errors);
    call.a = differences;
    call.a_stride = k_;
    call.y = images.data();
    call.y_stride = width;
    gemm(strip.products, call, scratch);
    for (std::int64_t r = 0; r < call.m; ++r) {
      double sum = 0;
      for (std::int64_t j = 0; j < width; ++j)
        sum += double(differences[r * k_ + strip.begin + j]) * double(images[std::size_t(r * width + j)]);
      errors[std::size_t(r)] += sum;
    }
  }
  for (double& error : errors) error = std::max(error, 0.0);
}

}  // namespace qb
