// What a product multiplies: a format of weights, and how int8 activations share scales.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/quant_format.h"

namespace qb {

/// Text: that of the weights, and "-a8g<group>" behind it where activations have a scale per group: "q4g32-a8g32".
struct ProductFormat {
  QuantFormat weights;
  std::int64_t activation_group = 0;  ///< RowScaling::group; only kernels that take it are measured then
};

std::string to_text(const ProductFormat& format);
ProductFormat parse_product_format(std::string_view text);  ///< throws DataError naming the fault

}  // namespace qb
