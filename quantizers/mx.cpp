// Blocks of 32 weights with one power of two: OCP Microscaling Formats 1.0; Rouhani et al. 2023 (arXiv:2310.10537).
#include "kernels/mx/packed_mx.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"

namespace qb {
namespace {

const MxElement& element_of(std::string_view type) {
  if (type == "int8") return mx_element("mxint8");
  if (type == "e2m1") return mx_element("mxfp4");
  return mx_element((type.starts_with("e4") || type.starts_with("e5") ? "mxfp8" : "mxfp6") + std::string(type));
}

MxScaleRule rule_of(std::string_view name) {
  if (name == "ceil") return MxScaleRule::ceil;
  if (name == "even") return MxScaleRule::even;
  return name == "up" ? MxScaleRule::up : MxScaleRule::floor;
}

}  // namespace

PackedMatrix quantize_mx(const LayerProblem& layer, const QuantSpec& spec) {
  check_finite(layer);
  return packed_from_mx(quantize_mx(element_of(spec.type), layer.weights, rule_of(option_of(spec, "rule"))));
}

}  // namespace qb
