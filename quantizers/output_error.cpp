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

}  // namespace qb
