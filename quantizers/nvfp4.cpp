// E2M1 in blocks of 16 with an E4M3 scale each, under one float32 of the tensor. Source: NVIDIA's NVFP4, by the rule of
// torchao's mx_formats (kernels/mx/nvfp4.h).
#include "kernels/mx/packed_mx.h"
#include "quantizers/methods.h"
#include "quantizers/options.h"

namespace qb {

PackedMatrix quantize_nvfp4(const LayerProblem& layer, const QuantSpec& spec) {
  check_finite(layer);
  const Nvfp4Levels levels = option_of(spec, "levels") == "one" ? Nvfp4Levels::one : Nvfp4Levels::two;
  return packed_from_nvfp4(quantize_nvfp4(layer.weights, levels));
}

}  // namespace qb
