#include "kernels/convolution/float_images.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/base/parallel.h"
#include "kernels/bf16_rows/best_bf16_row.h"
#include "kernels/convolution/variants.h"
#include "kernels/panels.h"

namespace qb {

namespace {

std::int64_t group_channels(const ConvShape& shape) { return shape.in_channels / shape.groups; }

/// Pixels of one row that come from the sample: [begin, end) of the image's columns.
struct Inside {
  std::int64_t begin, end;
};

Inside inside_of(const ConvPlan& plan) {
  const Window& window = plan.shape.window;
  const std::int64_t begin = std::min(window.begin[1], plan.image.columns);
  return {begin, std::min(begin + window.in[1], plan.image.columns)};
}

/// `count` floats, rounded to bf16, to `to`: as bf16, or as float32 by way of `bf16`.
void round_row(const ConvRun& run, const float* row, std::int64_t count, std::uint16_t* bf16, std::byte* to) {
  const Bf16RowFn round = best_bf16_row(run.weights[0].kernel->needs);
  if (run.plan.float_windows.pixels == PixelKind::bf16)
    return round({row, reinterpret_cast<std::uint16_t*>(to), count, count});
  round({row, bf16, count, count});
  auto* floats = reinterpret_cast<float*>(to);
  for (std::int64_t i = 0; i < count; ++i) floats[i] = std::bit_cast<float>(std::uint32_t(bf16[i]) << 16);
}

/// to[i * kChannels + c] = planes[c * stride + i]: for so few channels vectors of whole blocks would be mostly empty.
template <int kChannels>
void put_side_by_side(const float* planes, std::int64_t stride, std::int64_t count, float* to) {
  for (std::int64_t i = 0; i < count; ++i)
    for (int c = 0; c < kChannels; ++c) to[i * kChannels + c] = planes[c * stride + i];
}

/// `count` pixels of `channels` planes that are `stride` apart.
void interleave(Isa isa, const float* planes, std::int64_t stride, std::int64_t channels, std::int64_t count,
                float* to) {
  switch (channels) {
    case 1: return put_side_by_side<1>(planes, stride, count, to);
    case 2: return put_side_by_side<2>(planes, stride, count, to);
    case 3: return put_side_by_side<3>(planes, stride, count, to);
    case 4: return put_side_by_side<4>(planes, stride, count, to);
    default: return add_transposed(isa)({planes, stride, channels, count, nullptr, to, channels});
  }
}

/// Row `y` of one group's image of one sample, whose first plane is `x`.
void make_row(const ConvRun& run, const float* x, std::int64_t y, TileWorkspace& workspace, std::byte* row) {
  const ConvPlan& plan = run.plan;
  const Window& window = plan.shape.window;
  const std::int64_t channels = group_channels(plan.shape), stride = plan.image.pixel_stride;
  const std::int64_t row_of_sample = y - window.begin[0];
  if (row_of_sample < 0 || row_of_sample >= window.in[0]) {
    std::memset(row, 0, std::size_t(plan.image.columns * stride));
    return;
  }
  const Inside inside = inside_of(plan);
  const std::int64_t pixels = inside.end - inside.begin;
  std::memset(row, 0, std::size_t(inside.begin * stride));
  std::memset(row + inside.end * stride, 0, std::size_t((plan.image.columns - inside.end) * stride));
  std::byte* to = row + inside.begin * stride;
  const bool rounds = plan.float_windows.pixels != PixelKind::f32;
  float* floats = rounds ? workspace.planes.as<float>() : reinterpret_cast<float*>(to);
  interleave(run.weights[0].kernel->needs, x + row_of_sample * window.in[1], window.in[0] * window.in[1], channels,
             pixels, floats);
  if (rounds)
    round_row(run, floats, pixels * channels, reinterpret_cast<std::uint16_t*>(floats + pixels * channels), to);
}

}  // namespace

PixelImage plan_float_image(const ConvShape& shape, PixelKind pixels) {
  PixelImage image;
  image.rows = seen_extent(shape.window, 0);
  image.columns = seen_extent(shape.window, 1);
  image.pixel_stride = group_channels(shape) * (pixels == PixelKind::bf16 ? 2 : 4);
  return image;
}

/// Float32, and behind it bf16.
std::int64_t float_row_bytes(const ConvPlan& plan) {
  if (plan.float_windows.pixels == PixelKind::f32) return 0;
  return plan.shape.window.in[1] * group_channels(plan.shape) * std::int64_t(sizeof(float) + sizeof(std::uint16_t));
}

void make_float_images(const ConvRun& run, std::int64_t first, std::int64_t count, LayerWorkspaces& workspaces) {
  const ConvPlan& plan = run.plan;
  const ConvShape& shape = plan.shape;
  const std::int64_t rows = plan.image.rows, total = shape.groups * count * rows,
                     plane = shape.window.in[0] * shape.window.in[1], channels = group_channels(shape),
                     row_bytes = plan.image.columns * plan.image.pixel_stride;
  const std::int64_t workers = std::min<std::int64_t>(run.threads, total);
  const auto part = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t worker = begin; worker < end; ++worker)
      for (std::int64_t at = total * worker / workers; at < total * (worker + 1) / workers; ++at) {
        const std::int64_t image = at / rows, g = image / count, sample = first + image % count;
        make_row(run, run.x + (sample * shape.in_channels + g * channels) * plane, at % rows,
                 workspaces.threads[std::size_t(worker)], workspaces.images.as<std::byte>() + at * row_bytes);
      }
  };
  parallel_for(workers, int(std::max<std::int64_t>(workers, 1)), 1, std::cref(part));
}

}  // namespace qb
