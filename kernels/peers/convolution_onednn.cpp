#include <memory>
#include <utility>

#include "kernels/base/buffer.h"
#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "kernels/peers/convolution.h"
#include "kernels/peers/onednn_library.h"

namespace qb {

namespace {

using Kind = OnednnConvolutionKind;

dnnl_memory_desc_t described(int count, const dnnl_dims_t sizes, dnnl_data_type_t type, dnnl_format_tag_t order) {
  dnnl_memory_desc_t made;
  require_onednn(onednn().memory_desc_init_by_tag(&made, count, sizes, type, order), "a tensor");
  return made;
}

/// What is multiplied: activations and weights.
std::pair<dnnl_data_type_t, dnnl_data_type_t> inner_types(Kind kind) {
  switch (kind) {
    case Kind::f32_planes: return {dnnl_f32, dnnl_f32};
    case Kind::bf16_planes: return {dnnl_bf16, dnnl_bf16};
    default: return {dnnl_u8, dnnl_s8};
  }
}

/// A tensor as others have it, without a layout as `any`.
struct Tensors {
  dnnl_memory_desc_t x, w, y;
};

Tensors tensors_of(const OnednnConvolutionCase& wanted, bool any) {
  const ConvShape& shape = wanted.shape;
  const Window& window = shape.window;
  const bool pixels = wanted.kind == Kind::u8_pixels;
  const dnnl_dims_t x = {shape.batch, shape.in_channels, window.in[0], window.in[1]};
  const dnnl_dims_t y = {shape.batch, shape.out_channels, window.out[0], window.out[1]};
  const dnnl_dims_t dense = {shape.out_channels, shape.in_channels, window.kernel[0], window.kernel[1]};
  const dnnl_dims_t grouped = {shape.groups, shape.out_channels / shape.groups, shape.in_channels / shape.groups,
                               window.kernel[0], window.kernel[1]};
  const auto [inner, weights] = inner_types(wanted.kind);
  const dnnl_data_type_t outer = any || pixels ? inner : dnnl_f32;
  const auto order = [&](dnnl_format_tag_t own) { return any ? dnnl_format_tag_any : own; };
  const dnnl_format_tag_t planes = pixels ? dnnl_nhwc : dnnl_nchw;
  return {described(4, x, outer, order(planes)),
          shape.groups > 1 ? described(5, grouped, weights, order(dnnl_goihw))
                           : described(4, dense, weights, order(dnnl_oihw)),
          described(4, y, dnnl_f32, order(planes))};
}

/// Scales on results: one, or one per channel.
class Scales {
 public:
  explicit Scales(const std::vector<float>& scales) {
    require_onednn(onednn().primitive_attr_create(&attribute_), "scales");
    const int mask = scales.size() > 1 ? 1 << 1 : 0;
    if (!scales.empty())
      require_onednn(onednn().primitive_attr_set_output_scales(attribute_, std::ssize(scales), mask, scales.data()),
                     "scales");
  }
  Scales(const Scales&) = delete;
  Scales& operator=(const Scales&) = delete;
  ~Scales() { onednn().primitive_attr_destroy(attribute_); }
  dnnl_primitive_attr_t get() const { return attribute_; }

 private:
  dnnl_primitive_attr_t attribute_ = nullptr;
};

dnnl_primitive_desc_t describe_convolution(const OnednnConvolutionCase& wanted) {
  const Tensors any = tensors_of(wanted, /*any=*/true);
  const Window& window = wanted.shape.window;
  const dnnl_dims_t stride = {window.stride[0], window.stride[1]}, begin = {window.begin[0], window.begin[1]};
  const dnnl_dims_t end = {window.end[0], window.end[1]};
  dnnl_convolution_desc_t convolution;
  require_onednn(onednn().convolution_forward_desc_init(&convolution, dnnl_forward_inference, dnnl_convolution_direct,
                                                        &any.x, &any.w, nullptr, &any.y, stride, begin, end),
                 "a convolution");
  std::vector<float> scales;
  for (const float scale : wanted.w_scale) scales.push_back(wanted.x_scale * scale);
  const Scales attribute(scales);
  dnnl_primitive_desc_t made = nullptr;
  require_onednn(onednn().primitive_desc_create(&made, &convolution, attribute.get(), onednn_place().engine, nullptr),
                 "a convolution");
  return made;
}

/// A tensor on its way into or out of the convolution: where the layouts are the same it stays where it is.
struct Turned {
  dnnl_memory_t outer = nullptr, inner = nullptr;
  dnnl_primitive_t reorder = nullptr;  ///< null where nothing is turned
  Buffer bytes;                        ///< of `inner`, where something is

  Turned() = default;
  Turned(const Turned&) = delete;
  Turned& operator=(const Turned&) = delete;
  ~Turned() {
    if (reorder != nullptr) {
      onednn().primitive_destroy(reorder);
      onednn().memory_destroy(inner);
    }
    if (outer != nullptr) onednn().memory_destroy(outer);
  }
};

void turn(Turned& turned, const dnnl_memory_desc_t& outer, const dnnl_memory_desc_t& inner, bool inwards, float scale) {
  turned.outer = turned.inner = onednn_memory(outer, DNNL_MEMORY_NONE);
  if (onednn().memory_desc_equal(&outer, &inner) != 0) return;
  turned.bytes = Buffer(onednn().memory_desc_get_size(&inner));
  turned.inner = onednn_memory(inner, turned.bytes.data());
  const Scales attribute(scale == 1.0f ? std::vector<float>{} : std::vector<float>{scale});
  dnnl_primitive_desc_t description = nullptr;
  const dnnl_engine_t engine = onednn_place().engine;
  require_onednn(onednn().reorder_primitive_desc_create(&description, inwards ? &outer : &inner, engine,
                                                        inwards ? &inner : &outer, engine, attribute.get()),
                 "a layout");
  require_onednn(onednn().primitive_create(&turned.reorder, description), "a layout");
  onednn().primitive_desc_destroy(description);
}

void execute(dnnl_primitive_t primitive, std::initializer_list<dnnl_exec_arg_t> arguments) {
  QB_EXPECTS(onednn().primitive_execute(primitive, onednn_place().stream, int(arguments.size()), arguments.begin()) ==
             dnnl_success);
}

struct Convolution {
  dnnl_primitive_t primitive = nullptr;
  dnnl_memory_t w = nullptr;
  Buffer weights;
  Turned x, y;
  int threads = 1;

  explicit Convolution(const OnednnConvolutionCase& wanted) : threads(wanted.threads) {
    const LibraryThreads limit(threads);
    const Tensors outer = tensors_of(wanted, /*any=*/false);
    const dnnl_primitive_desc_t description = describe_convolution(wanted);
    const auto inner = [&](dnnl_query_t what) { return *onednn().primitive_desc_query_md(description, what, 0); };
    const dnnl_memory_desc_t wanted_w = inner(dnnl_query_weights_md);
    weights = Buffer(onednn().memory_desc_get_size(&wanted_w));
    onednn_reorder(outer.w, wanted.weights, wanted_w, weights.data());
    w = onednn_memory(wanted_w, weights.data());
    turn(x, outer.x, inner(dnnl_query_src_md), /*inwards=*/true,
         wanted.kind == Kind::u8_planes ? 1.0f / wanted.x_scale : 1.0f);
    turn(y, outer.y, inner(dnnl_query_dst_md), /*inwards=*/false, 1.0f);
    require_onednn(onednn().primitive_create(&primitive, description), "a convolution");
    onednn().primitive_desc_destroy(description);
  }
  Convolution(const Convolution&) = delete;
  Convolution& operator=(const Convolution&) = delete;
  ~Convolution() {
    onednn().primitive_destroy(primitive);
    onednn().memory_destroy(w);
  }

  void run(const void* from, float* to) const {
    const LibraryThreads limit(threads);
    onednn().memory_set_data_handle(x.outer, const_cast<void*>(from));
    onednn().memory_set_data_handle(y.outer, to);
    if (x.reorder != nullptr) execute(x.reorder, {{DNNL_ARG_FROM, x.outer}, {DNNL_ARG_TO, x.inner}});
    execute(primitive, {{DNNL_ARG_SRC, x.inner}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, y.inner}});
    if (y.reorder != nullptr) execute(y.reorder, {{DNNL_ARG_FROM, y.inner}, {DNNL_ARG_TO, y.outer}});
    QB_EXPECTS(onednn().stream_wait(onednn_place().stream) == dnnl_success);
  }
};

}  // namespace

PeerConvolution onednn_convolution(const OnednnConvolutionCase& wanted) {
  const auto made = std::make_shared<const Convolution>(wanted);
  return [made](const void* x, float* y) { made->run(x, y); };
}

}  // namespace qb
