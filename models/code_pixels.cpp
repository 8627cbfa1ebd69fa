#include "models/code_pixels.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "kernels/base/parallel.h"
#include "kernels/convolution/patch_rows.h"
#include "kernels/panels.h"

namespace qb {

namespace {

constexpr std::int64_t kBlock = 16;       ///< channels that become pixels together
constexpr std::int64_t kRun = 1024;       ///< pixels that do, so that planes and pixels of a run stay in the cache
constexpr std::int64_t kGrain = 1 << 14;  ///< codes for which another thread is worth its while

/// Neighbouring pixels of one image, all inside the sample: elements [begin, end) of its planes.
struct PixelRun {
  std::int64_t begin = 0, end = 0;
  std::int8_t* to = nullptr;
};

/// One group of one sample.
class Image {
 public:
  Image(const PixelsOf& of, const ConvPlan& plan, std::int64_t group, std::int64_t sample, std::int8_t* image)
      : of_(of), plan_(plan), image_(image) {
    const std::int64_t plane = window().in[0] * window().in[1], per_group = of.channels / plan.shape.groups;
    planes_ = of.from.codes->bytes.as<std::int8_t>() +
              ((of.sample + sample) * of.channels + group * per_group + of.first) * plane;
  }

  /// Rows [begin, end) of the image with their padding.
  void fill(std::int64_t begin, std::int64_t end, Buffer& scratch) const {
    const PixelImage& image = plan_.image;
    const std::int64_t left = std::min(window().begin[1], image.columns),
                       inside = std::min(window().in[1], image.columns - left);
    if (inside == image.columns && inside == window().in[1] && window().begin[0] == 0 && end <= window().in[0])
      return fill_run({begin * inside, end * inside, row(begin)}, scratch);
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t y = r - window().begin[0];
      const bool padding = y < 0 || y >= window().in[0];
      const std::int64_t before = padding ? image.columns : left;
      std::memset(row(r), zero(), std::size_t(before * image.pixel_stride));
      if (padding) continue;
      fill_run({y * window().in[1], y * window().in[1] + inside, row(r) + left * image.pixel_stride}, scratch);
      std::memset(row(r) + (left + inside) * image.pixel_stride, zero(),
                  std::size_t((image.columns - left - inside) * image.pixel_stride));
    }
  }

 private:
  const Window& window() const { return plan_.shape.window; }
  int zero() const { return of_.from.zero; }
  std::int8_t* row(std::int64_t r) const { return image_ + r * plan_.image.columns * plan_.image.pixel_stride; }

  void fill_run(const PixelRun& run, Buffer& scratch) const {
    const std::int64_t channels = plan_.shape.in_channels / plan_.shape.groups, stride = plan_.image.pixel_stride,
                       plane = window().in[0] * window().in[1], behind = stride - channels;
    const std::uint8_t flipped = of_.from.flipped();
    auto* planes = scratch.as<std::int8_t>();
    for (std::int64_t at = run.begin; at < run.end; at += kRun) {
      const std::int64_t count = std::min(kRun, run.end - at);
      std::int8_t* to = run.to + (at - run.begin) * stride;
      for (std::int64_t c = 0; c < channels; c += kBlock) {
        const std::int64_t block = std::min(kBlock, channels - c);
        for (std::int64_t i = 0; i < block; ++i) {
          const std::int8_t* from = planes_ + (c + i) * plane + at;
          std::int8_t* copy = planes + i * (kRun + kBlock);
          for (std::int64_t j = 0; j < count; ++j) copy[j] = std::int8_t(std::uint8_t(from[j]) ^ flipped);
        }
        interleave_planes(planes, kRun + kBlock, block, count, to + c, stride);
      }
      for (std::int64_t i = 0; behind > 0 && i < count; ++i)
        std::memset(to + i * stride + channels, zero(), std::size_t(behind));
    }
  }

  const PixelsOf& of_;
  const ConvPlan& plan_;
  const std::int8_t* planes_ = nullptr;
  std::int8_t* image_ = nullptr;
};

}  // namespace

void grow(Buffer& buffer, std::int64_t bytes) {
  if (std::int64_t(buffer.size()) < bytes) buffer = Buffer(std::size_t(bytes));
}

void make_code_pixels(const PixelsOf& of, const ConvPlan& plan, std::int8_t* images, std::vector<Buffer>& scratch,
                      int threads) {
  const std::int64_t count = plan.shape.groups * plan.shape.batch, rows = plan.image.rows;
  const std::int64_t useful = std::max<std::int64_t>(1, count * plan.image.bytes() / kGrain);
  const std::int64_t bands = count >= threads ? 1 : std::min<std::int64_t>({threads, rows, useful});
  const std::int64_t workers = std::min<std::int64_t>({threads, count * bands, useful});
  if (std::ssize(scratch) < workers) scratch.resize(std::size_t(workers));
  for (Buffer& buffer : scratch) grow(buffer, kBlock * (kRun + kBlock));
  const auto part = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t worker = begin; worker < end; ++worker)
      for (std::int64_t unit = worker; unit < count * bands; unit += workers) {
        const std::int64_t index = unit / bands, band = unit % bands;  // images lie group after group
        const Image image(of, plan, index / plan.shape.batch, index % plan.shape.batch,
                          images + index * plan.image.bytes());
        image.fill(rows * band / bands, rows * (band + 1) / bands, scratch[std::size_t(worker)]);
      }
  };
  parallel_for(workers, int(workers), 1, std::cref(part));
}

void make_code_rows(const CodePlanes& from, std::int64_t rows, std::int64_t k, std::int8_t* to, std::int64_t stride,
                    int threads) {
  const auto* codes = from.codes->bytes.as<std::uint8_t>();
  const std::uint8_t flipped = from.flipped();
  const auto part = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      for (std::int64_t t = 0; t < k; ++t) to[i * stride + t] = std::int8_t(codes[i * k + t] ^ flipped);
      std::memset(to + i * stride + k, from.zero, std::size_t(stride - k));
    }
  };
  parallel_for(rows, threads, std::max<std::int64_t>(1, kGrain / k), std::cref(part));
}

void make_real_values(const CodePlanes& from, float sign, std::int64_t begin, std::int64_t count, float* y,
                      int threads) {
  const auto* codes = from.codes->bytes.as<std::uint8_t>() + begin;
  const std::uint8_t flipped = from.flipped();
  const auto part = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i)
      y[i] = sign * float(std::int32_t(std::int8_t(codes[i] ^ flipped)) - from.zero);
  };
  parallel_for(count, threads, kGrain, std::cref(part));
}

}  // namespace qb
