#include "kernels/bench/product_format.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/activation_rows.h"
#include "kernels/base/error.h"
#include "kernels/base/text.h"

namespace qb {

namespace {

constexpr std::string_view kActivations = "-a8g";

}  // namespace

std::string to_text(const ProductFormat& format) {
  const std::string weights = to_text(format.weights);
  return format.activation_group > 0 ? fmt::format("{}{}{}", weights, kActivations, format.activation_group) : weights;
}

ProductFormat parse_product_format(std::string_view text) {
  const std::size_t behind = text.find('-');
  if (behind == std::string_view::npos) return {parse_quant_format(text)};
  const std::string_view activations = text.substr(behind);
  const auto group =
      activations.starts_with(kActivations) ? parse_int(activations.substr(kActivations.size())) : std::nullopt;
  if (!group || std::ranges::find(kActivationGroups, *group) == kActivationGroups.end())
    throw DataError(fmt::format("format '{}': behind the weights' format stands nothing, or -a8g and one of {}", text,
                                fmt::join(kActivationGroups, ", ")));
  return {parse_quant_format(text.substr(0, behind)), *group};
}

}  // namespace qb
