// oneDNN's convolutions on the operands of a cell.
#pragma once
#include <map>
#include <vector>

#include "kernels/bench/shapes.h"
#include "kernels/convolution/window.h"
#include "kernels/peers/convolution.h"
#include "kernels/registry.h"

namespace qb {

ConvShape conv_shape(const LayerShape& shape);  ///< of a convolution, or of a depthwise one

/// The peer for weights of `format`: float32, bf16, or integers by channel around one zero; null where oneDNN has none
/// or was not compiled in.
const KernelInfo* onednn_convolution_for(Work work, const QuantFormat& format);

/// The convolution with a primitive for each number of threads. Refers to operands that others own.
class OnednnCell {
 public:
  /// `x` is [batch, channels, height, width]; of Work::convolution_of_codes it is quantized once, here.
  OnednnCell(const LayerShape& shape, const PackedMatrix& weights, const KernelInfo& kernel, const float* x);
  void run(int threads, float* y);  ///< throws Unsupported when oneDNN refuses the case

 private:
  OnednnConvolutionCase wanted_;
  const float* x_;
  std::vector<float> values_;
  std::vector<std::uint16_t> halves_;
  std::vector<std::int8_t> codes_;
  std::vector<std::uint8_t> pixels_;
  std::map<int, PeerConvolution> ready_;
};

}  // namespace qb
