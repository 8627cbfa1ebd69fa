#include "kernels/bench/onednn_convolution.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"
#include "kernels/base/small_floats.h"
#include "kernels/bench/planes.h"

namespace qb {

namespace {

using Kind = OnednnConvolutionKind;

constexpr Isa kVnni = Isa::avx2 | Isa::avx512 | Isa::avx512vnni;  ///< without it oneDNN's sums of pairs saturate
constexpr Isa kBf16 = Isa::avx2 | Isa::avx512 | Isa::avx512bf16;

constexpr KernelInfo peer(std::string_view name, std::string_view family, Activations activations, Isa needs) {
  return {.name = name, .family = family, .activations = activations, .needs = needs, .peer = true};
}

constexpr KernelInfo kDenseF32 = peer("convolution_f32_onednn", "convolution", Activations::f32, Isa::none);
constexpr KernelInfo kDenseBf16 = peer("convolution_bf16_onednn", "convolution", Activations::bf16, kBf16);
constexpr KernelInfo kDenseS8 = peer("convolution_u8_s8_onednn", "convolution", Activations::s8, kVnni);
constexpr KernelInfo kDepthwiseF32 = peer("depthwise_f32_onednn", "depthwise", Activations::f32, Isa::none);
constexpr KernelInfo kDepthwiseS8 = peer("depthwise_u8_s8_onednn", "depthwise", Activations::s8, kVnni);

Kind kind_of(Work work, Activations activations) {
  if (activations == Activations::f32) return Kind::f32_planes;
  if (activations == Activations::bf16) return Kind::bf16_planes;
  return work == Work::convolution_of_codes ? Kind::u8_pixels : Kind::u8_planes;
}

/// The input as codes from 0, [N, H, W, C].
std::vector<std::uint8_t> pixels_of(const Planes& planes, float scale, const float* x) {
  std::vector<std::uint8_t> pixels;
  const std::int64_t area = planes.height * planes.width;
  for (std::int64_t i = 0; i < planes.batch * area; ++i)
    for (std::int64_t c = 0; c < planes.channels; ++c) {
      const float value = x[(i / area * planes.channels + c) * area + i % area];
      pixels.push_back(std::uint8_t(std::min(std::nearbyint(value / scale), 255.0f)));
    }
  return pixels;
}

}  // namespace

ConvShape conv_shape(const LayerShape& layer) {
  const Planes& planes = layer.planes;
  ConvShape shape;
  shape.batch = planes.batch;
  shape.in_channels = planes.channels;
  shape.out_channels = planes.results;
  if (layer.work == Work::depthwise) shape.groups = planes.channels;
  shape.window.in[0] = planes.height;
  shape.window.in[1] = planes.width;
  shape.window.out[0] = planes.out_height();
  shape.window.out[1] = planes.out_width();
  for (std::size_t axis = 0; axis < Window::kAxes; ++axis) {
    shape.window.kernel[axis] = planes.kernel;
    shape.window.stride[axis] = planes.stride;
    shape.window.begin[axis] = shape.window.end[axis] = planes.pad;
  }
  return shape;
}

const KernelInfo* onednn_convolution_for(Work work, const QuantFormat& format) {
  const bool depthwise = work == Work::depthwise;
  if (!has_onednn()) return nullptr;
  if (format.kind == CodeKind::f32) return depthwise ? &kDepthwiseF32 : &kDenseF32;
  if (format.kind == CodeKind::bf16) return depthwise ? nullptr : &kDenseBf16;
  const bool integers = format.kind == CodeKind::integer && !format.zeros && !format.offsets;
  if (!integers || format.sharing != Sharing::channel || format.scale != ScaleType::f32) return nullptr;
  return depthwise ? &kDepthwiseS8 : &kDenseS8;
}

OnednnCell::OnednnCell(const LayerShape& shape, const PackedMatrix& weights, const KernelInfo& kernel, const float* x)
    : x_(x) {
  wanted_.shape = conv_shape(shape);
  wanted_.kind = kind_of(shape.work, kernel.activations);
  if (kernel.activations != Activations::s8) {
    values_ = dequantize(weights);
    wanted_.weights = values_.data();
    if (kernel.activations != Activations::bf16) return;
    for (const float value : values_) halves_.push_back(bf16_from_f32(value));
    wanted_.weights = halves_.data();
    return;
  }
  wanted_.x_scale = kPlaneScaling.scale;
  for (const std::uint8_t code : unpack_codes(weights)) codes_.push_back(std::int8_t(code - zero_of(weights, 0, 0)));
  for (std::int64_t j = 0; j < shape.n; ++j)
    wanted_.w_scale.push_back(weights.scales[std::size_t(weights.parameter_index(j, 0))]);
  wanted_.weights = codes_.data();
  QB_EXPECTS(std::ssize(codes_) == shape.n * shape.k);
  if (shape.work == Work::convolution_of_codes) pixels_ = pixels_of(shape.planes, wanted_.x_scale, x);
}

void OnednnCell::run(int threads, float* y) {
  PeerConvolution& convolution = ready_[threads];
  if (!convolution) {
    wanted_.threads = threads;
    convolution = onednn_convolution(wanted_);
  }
  convolution(pixels_.empty() ? static_cast<const void*>(x_) : pixels_.data(), y);
}

}  // namespace qb
