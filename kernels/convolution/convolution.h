// How a convolution is carried out: by a depthwise kernel, as products that read windows in place, or as products of
// tiles of patches.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/convolution/float_windows.h"
#include "kernels/convolution/window.h"
#include "kernels/convolution/window_products.h"
#include "kernels/depthwise.h"

namespace qb {

/// What one thread needs to carry out tiles of a convolution; grows to the largest layer and stays.
struct TileWorkspace {
  Buffer patches;  ///< or pixels as int16
  Buffer results, planes, pixel_sums, window_sums;
  GemmScratch scratch;
  std::int64_t bytes() const {
    return std::int64_t(patches.size() + results.size() + planes.size() + pixel_sums.size() + window_sums.size()) +
           scratch.bytes();
  }
};

/// What all threads need together.
struct LayerWorkspaces {
  std::vector<TileWorkspace> threads;
  Buffer images;  ///< whole samples, as codes or as pixels
  DepthwiseScratch depthwise;
  std::int64_t bytes() const;
};

enum class ConvPath : std::uint8_t {
  depthwise,     ///< every input channel has kernels of its own: one call of depthwise()
  float_rows,    ///< patches of floats, in C, H, W order
  float_pixels,  ///< each sample as pixels of float32 or bf16, which products read in place, in H, W, C order
  code_planes,   ///< each sample quantized once; patches of codes in C, H, W order
  code_pixels,   ///< each sample quantized once, the codes of a pixel side by side; patches in H, W, C order
};

/// A sample as pixels, with the padding that its windows see; one image per group and sample.
struct PixelImage {
  std::int64_t rows = 0, columns = 0;
  std::int64_t pixel_stride = 0;  ///< bytes; the channels of a group, or a row of the product where it is `direct`
  bool direct = false;            ///< codes: pixels are rows of the product as they are
  std::vector<std::int64_t> run_offset;  ///< codes: as GatherRunsArgs
  std::int64_t run_bytes = 0;
  std::int64_t bytes() const { return rows * columns * pixel_stride; }
};

/// For products that read codes in place; without `products` rows of windows are gathered.
struct InPlace {
  WindowProductsFn products = nullptr;
  PixelSumsFn pixel_sums = nullptr;
  std::int64_t channel_step = 4;            ///< channels of a group are a multiple of it
  bool leaves_padding_out = false;          ///< needs position_sums
  bool reads_wide_pixels = false;           ///< codes as int16
  std::vector<std::int32_t> position_sums;  ///< [groups][kernel positions][sum_stride], as WindowProductsArgs
  std::int64_t sum_stride = 0;
};

/// What a pixel's channels are in an image of float_pixels.
enum class PixelKind : std::uint8_t { f32, bf16, f32_of_bf16 };  ///< the last: rounded to bf16, stored as float32

/// For products that read pixels of float_pixels.
struct FloatWindows {
  FloatWindowsFn products = nullptr;
  PixelKind pixels = PixelKind::f32;
  std::int64_t channel_step = 1;    ///< channels of a group are a multiple of it
  bool leaves_padding_out = false;  ///< all weights are finite, so that zeros of the padding add nothing
};

struct ConvPlan {
  ConvShape shape;
  ConvPath path = ConvPath::float_rows;
  std::int64_t tile_rows = 0;    ///< patches per product
  std::int64_t column_step = 1;  ///< columns per panel of weights
  std::int64_t wave = 1;         ///< samples whose codes are made at once, and whose patches may share a tile
  PixelImage image;              ///< of pixels only
  InPlace in_place;              ///< set by read_windows_in_place()
  FloatWindows float_windows;    ///< float_pixels only
  bool per_sample = false;       ///< dynamic activations: one scale per sample, hence no tile of two samples
  std::vector<float> sample_scale;
};

/// Rows that a product of a convolution may have at most: one tile never holds samples of two scales.
std::int64_t rows_together(const ConvPlan& plan);

/// Completes a plan whose shape and per_sample are set, for products by `kernel`. `order_is_free` says whether weights
/// may be reordered.
///
/// Windows of floats are read in place where the kernel has a variant that does so (gemm_f32_f32 and gemm_bf16_bf16 but
/// for their references and peers), the order is free, and windows are not single elements at every position, which
/// are rows already once they are transposed; of bf16 also the channels of a group must be even, as pairs.
void plan_products(ConvPlan& plan, const KernelInfo& kernel, bool order_is_free, int threads);

/// True where the kernels see the weights of more than one channel and pixel in H, W, C order.
bool reorders_weights(const ConvPlan& plan);

/// Completes a plan for weights that are prepared, in the order that it asks for. Products of codes need no rows of
/// windows where the kernel has a variant that reads pixels in place (gemm_s8_q8, channels a multiple of 4 or 2; on
/// AVX2 not windows of one element); products of floats leave the padding out where all weights are finite. The results
/// are the same, of codes bit for bit. From then on the plan may be run with these weights only.
void read_windows_in_place(ConvPlan& plan, const std::vector<PreparedMatrix>& weights);

/// Makes the workspaces, one per thread, large enough.
void reserve_workspaces(const ConvPlan& plan, LayerWorkspaces& workspaces);

/// Called after every call of a kernel, on the caller's thread, with the operands that it read and the result that it
/// wrote; while `product` is set, one thread does all tiles. Of windows that are read in place it sees the rows that
/// they stand for: of codes in the order of the prepared weights, of floats in C, H, W order, which `weights` are not
/// in.
struct ConvObserver {
  /// Rows [begin, begin + count) of the layer's weights.
  std::function<void(std::int64_t begin, std::int64_t count, const PreparedMatrix& weights, const GemmCall& call)>
      product = {};
  std::function<void(const PreparedMatrix& weights, const DepthwiseCall& call)> depthwise = {};
};

/// One run of a convolution: x [N, C, H, W] to y, bias where not null, all as float32.
struct ConvRun {
  ConvPlan& plan;                              ///< sample_scale is written
  const std::vector<PreparedMatrix>& weights;  ///< one per group; one in all for depthwise
  RowScaling scaling;        ///< none, or fixed; of a plan that is per_sample only bits and zero count
  const float* x = nullptr;  ///< up to 3 elements behind its end may be read
  const float* bias = nullptr;
  float* y = nullptr;
  int threads = 1;
  const ConvObserver& observer;
};
void run_conv(const ConvRun& run, LayerWorkspaces& workspaces);

/// The second half of run_conv() for codes that make_code_images() has put into the workspaces: the products alone,
/// with the results as pixels, y [N, positions, channels], and no bias. For plans by code_pixels whose samples are one
/// wave, with fewer groups than channels.
void run_on_codes(const ConvRun& run, LayerWorkspaces& workspaces);

}  // namespace qb
