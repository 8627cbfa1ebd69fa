#include "kernels/convolution/code_images.h"

#include <algorithm>
#include <cstring>

#include "kernels/base/parallel.h"
#include "kernels/convolution/variants.h"
#include "kernels/panels.h"
#include "kernels/quantize_rows/row_quantizer.h"

namespace qb {

namespace {

constexpr std::int64_t kBlock = 16;  ///< channels that become pixels together

std::int64_t plane_stride(const ConvShape& shape) { return round_up(shape.window.in[0] * shape.window.in[1], 64) + 64; }

std::int64_t blocks_of(const ConvShape& shape) { return (shape.in_channels / shape.groups + kBlock - 1) / kBlock; }

/// What one wave quantizes, and where it goes.
struct Samples {
  const ConvRun& run;
  std::int64_t first, count;
  std::int8_t* images;

  const ConvShape& shape() const { return run.plan.shape; }
  std::int64_t channels() const { return shape().in_channels / shape().groups; }
  std::int64_t plane() const { return shape().window.in[0] * shape().window.in[1]; }
  std::int8_t zero() const { return std::int8_t(run.scaling.zero); }

  /// Codes of values [begin, end) of `planes` planes of a group, the planes of `to` a `stride` apart. Up to 15 codes
  /// behind each are written.
  void quantize(std::int64_t sample, std::int64_t g, std::int64_t channel, std::int64_t planes, std::int64_t begin,
                std::int64_t end, std::int8_t* to, std::int64_t stride) const {
    const RowQuantizer with = row_quantizer(run.weights[0].kernel->needs);
    const CodeRange range = code_range(run.scaling);
    const float scale = run.plan.per_sample ? run.plan.sample_scale[std::size_t(first + sample)] : run.scaling.scale;
    const float* x = run.x + ((first + sample) * shape().in_channels + g * channels() + channel) * plane();
    for (std::int64_t i = 0; i < planes; ++i)
      with.quantize({x + i * plane() + begin, to + i * stride, end - begin, end - begin, scale, run.scaling.zero,
                     range.low, range.high});
  }
};

/// Pixels around the sample, and behind the last channel of each pixel.
void fill_padding(const Samples& samples, std::int8_t* image) {
  const PixelImage& plan = samples.run.plan.image;
  const Window& window = samples.shape().window;
  const std::int64_t row_bytes = plan.columns * plan.pixel_stride;
  const std::int64_t left = std::min(window.begin[1], plan.columns),
                     inside = std::min(window.in[1], plan.columns - left), right = plan.columns - left - inside;
  for (std::int64_t row = 0; row < plan.rows; ++row) {
    std::int8_t* pixels = image + row * row_bytes;
    if (row < window.begin[0] || row >= window.begin[0] + window.in[0]) {
      std::memset(pixels, samples.zero(), std::size_t(row_bytes));
      continue;
    }
    std::memset(pixels, samples.zero(), std::size_t(left * plan.pixel_stride));
    std::memset(pixels + (left + inside) * plan.pixel_stride, samples.zero(), std::size_t(right * plan.pixel_stride));
  }
}

/// Rows [begin, end) of a sample.
struct Band {
  std::int64_t begin = 0, end = 0;
};

/// Channels [16 * block, ...) of a band of one sample and group: quantized as planes, then put side by side.
void make_pixels(const Samples& samples, std::int64_t sample, std::int64_t g, const Band& band, std::int64_t block,
                 std::int8_t* planes) {
  const PixelImage& plan = samples.run.plan.image;
  const Window& window = samples.shape().window;
  const std::int64_t first = block * kBlock, channels = std::min(kBlock, samples.channels() - first),
                     stride = plane_stride(samples.shape());
  std::int8_t* image = samples.images + (g * samples.count + sample) * plan.bytes();
  samples.quantize(sample, g, first, channels, band.begin * window.in[1], band.end * window.in[1], planes, stride);
  const std::int64_t left = window.begin[1], columns = std::min(window.in[1], plan.columns - left);
  const std::int64_t rows = std::min(band.end, plan.rows - window.begin[0]) - band.begin;
  const bool gapless = columns == window.in[1] && columns == plan.columns;  // rows follow one another on both sides
  const std::int64_t runs = gapless ? std::min<std::int64_t>(rows, 1) : rows, run = gapless ? rows * columns : columns;
  const std::int64_t behind =
      first + channels == samples.channels() ? plan.pixel_stride - first - channels : 0;  // up to the next pixel
  for (std::int64_t y = 0; y < runs; ++y) {
    std::int8_t* pixels =
        image + ((y + band.begin + window.begin[0]) * plan.columns + left) * plan.pixel_stride + first;
    interleave_planes(planes + y * window.in[1], stride, channels, run, pixels, plan.pixel_stride);
    for (std::int64_t x = 0; behind > 0 && x < run; ++x)
      std::memset(pixels + x * plan.pixel_stride + channels, samples.zero(), std::size_t(behind));
  }
}

/// Bands, not channels, go to different threads: these would write the same cache lines.
void make_image_band(const Samples& samples, std::int64_t sample, std::int64_t g, std::int64_t band, std::int64_t bands,
                     std::int8_t* planes) {
  const std::int64_t rows = samples.shape().window.in[0], blocks = blocks_of(samples.shape());
  if (band == 0) fill_padding(samples, samples.images + (g * samples.count + sample) * samples.run.plan.image.bytes());
  for (std::int64_t block = 0; block < blocks; ++block)
    make_pixels(samples, sample, g, {rows * band / bands, rows * (band + 1) / bands}, block, planes);
}

}  // namespace

PixelImage plan_code_image(const ConvShape& shape) {
  const Window& window = shape.window;
  const std::int64_t channels = shape.in_channels / shape.groups;
  PixelImage image;
  image.rows = seen_extent(window, 0);
  image.columns = seen_extent(window, 1);
  image.direct = window.is_pointwise();
  image.pixel_stride = image.direct ? round_up(channels, 64) : channels;
  const bool dense = window.dilation[1] == 1;
  image.run_bytes = dense ? window.kernel[1] * channels : channels;
  for (std::int64_t ky = 0; ky < window.kernel[0]; ++ky)
    for (std::int64_t kx = 0; kx < (dense ? 1 : window.kernel[1]); ++kx)
      image.run_offset.push_back((ky * window.dilation[0] * image.columns + kx * window.dilation[1]) *
                                 image.pixel_stride);
  return image;
}

/// The quantizer may write a few codes behind the last.
std::int64_t planes_bytes(const ConvShape& shape) {
  return round_up(shape.in_channels / shape.groups * shape.window.in[0] * shape.window.in[1], 64) + 64;
}

std::int64_t images_bytes(const ConvPlan& plan) {
  const ConvShape& shape = plan.shape;
  return shape.groups * (plan.path == ConvPath::code_planes ? planes_bytes(shape) : plan.image.bytes());
}

std::int64_t block_bytes(const ConvShape& shape) {
  return std::min(kBlock, shape.in_channels / shape.groups) * plane_stride(shape);
}

void make_code_images(const ConvRun& run, std::int64_t first, std::int64_t count, LayerWorkspaces& workspaces) {
  const Samples samples{run, first, count, workspaces.images.as<std::int8_t>()};
  const bool pixels = run.plan.path == ConvPath::code_pixels;
  const std::int64_t groups = run.plan.shape.groups, images = count * groups;
  const bool even = !pixels || images % run.threads == 0;
  const std::int64_t bands = even ? 1 : std::min<std::int64_t>(run.threads, run.plan.shape.window.in[0]);
  const std::int64_t units = images * bands;
  const std::int64_t workers = std::min<std::int64_t>(run.threads, units);
  const auto part = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t worker = begin; worker < end; ++worker) {
      std::int8_t* planes = workspaces.threads[std::size_t(worker)].planes.as<std::int8_t>();
      for (std::int64_t unit = worker; unit < units; unit += workers) {
        const std::int64_t sample = unit / bands % count, g = unit / bands / count;
        if (pixels)
          make_image_band(samples, sample, g, unit % bands, bands, planes);
        else
          samples.quantize(sample, g, 0, 1, 0, samples.channels() * samples.plane(),
                           samples.images + (g * count + sample) * planes_bytes(run.plan.shape), 0);
      }
    }
  };
  parallel_for(workers, int(std::max<std::int64_t>(workers, 1)), 1, std::cref(part));
}

void gather_windows(const ConvPlan& plan, const std::int8_t* image, std::int64_t begin, std::int64_t end,
                    std::int8_t zero, Isa isa, std::int8_t* rows, std::int64_t stride) {
  const GatherRunsFn gather = gather_runs(isa);
  const Window& window = plan.shape.window;
  const PixelImage& shape = plan.image;
  for (std::int64_t position = begin; position < end;) {
    const std::int64_t oy = position / window.out[1], ox = position % window.out[1];
    const std::int64_t count = std::min(window.out[1] - ox, end - position);
    gather({image + (oy * window.stride[0] * shape.columns + ox * window.stride[1]) * shape.pixel_stride,
            window.stride[1] * shape.pixel_stride, count, shape.run_offset.data(), std::ssize(shape.run_offset),
            shape.run_bytes, rows, stride, zero});
    rows += count * stride;
    position += count;
  }
}

}  // namespace qb
