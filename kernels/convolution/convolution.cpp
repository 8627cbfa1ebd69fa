#include "kernels/convolution/convolution.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "kernels/convolution/code_images.h"
#include "kernels/convolution/float_images.h"
#include "kernels/convolution/in_place.h"
#include "kernels/convolution/patches.h"
#include "kernels/convolution/variants.h"
#include "kernels/panels.h"
#include "kernels/quantize_rows/row_quantizer.h"

namespace qb {

namespace {

/// Patches and results of one tile stay in half of a typical second-level cache beside a panel of weights.
constexpr std::int64_t kTileBytes = std::int64_t(384) << 10;
constexpr std::int64_t kRowStep = 24;  ///< tiles are multiples of it where there are so many rows

std::int64_t group_channels(const ConvShape& shape) { return shape.in_channels / shape.groups; }

bool makes_codes(const ConvPlan& plan) {
  return plan.path == ConvPath::code_planes || plan.path == ConvPath::code_pixels;
}

/// Bytes of a row of codes in a tile: readable to the next multiple of 64, and one line more keeps rows of 4096 out of
/// one another's cache sets.
std::int64_t code_row_bytes(std::int64_t k) { return round_up(k, 64) + 64; }

bool reads_in_place(const ConvPlan& plan) {
  return plan.path == ConvPath::float_pixels || plan.in_place.products != nullptr;
}

std::int64_t patch_bytes(const ConvPlan& plan) {
  if (plan.path == ConvPath::code_pixels && plan.image.direct) return 0;
  return makes_codes(plan) ? code_row_bytes(plan.shape.k())
                           : patch_stride(plan.shape.k()) * std::int64_t(sizeof(float));
}

/// `even` rows rounded up to as many of the kernels' tiles as leave no thread idle for more than a twentieth.
std::int64_t round_rows(std::int64_t even, std::int64_t total, int threads) {
  for (const std::int64_t step : {kRowStep, kRowStep / 2, kRowStep / 4}) {
    const std::int64_t rows = round_up(even, step), tiles = (total + rows - 1) / rows;
    if (threads == 1 || 20 * total >= 19 * round_up(tiles, threads) * rows) return rows;
  }
  return even;
}

/// Rows per tile so that a tile fits its share of the cache, threads all have work, and no tile is a small rest.
std::int64_t choose_tile_rows(std::int64_t row_bytes, std::int64_t total, int threads) {
  const std::int64_t most = std::max(kTileBytes / row_bytes / kRowStep * kRowStep, 2 * kRowStep);
  const std::int64_t steps = std::max<std::int64_t>(1, (total + kRowStep - 1) / kRowStep);
  const std::int64_t tiles = std::min(steps, round_up(std::max<std::int64_t>(1, (total + most - 1) / most), threads));
  return std::max<std::int64_t>(1, std::min(total, round_rows((total + tiles - 1) / tiles, total, threads)));
}

/// A tile of a convolution: rows [begin, end) of the patch matrix, counted over the samples of a wave.
struct Tile {
  std::int64_t begin = 0, end = 0;

  /// Calls body(sample of the wave, first position, last position, row of the tile) for each sample that it touches.
  template <class Body>
  void for_each_sample(std::int64_t positions, Body body) const {
    for (std::int64_t row = begin; row < end;) {
      const std::int64_t sample = row / positions, stop = std::min(end, (sample + 1) * positions);
      body(sample, row - sample * positions, stop - sample * positions, row - begin);
      row = stop;
    }
  }
};

/// Samples [first, first + count) of the batch.
struct Wave {
  std::int64_t first = 0, count = 0;
  bool to_pixels = false;  ///< results stay as the products give them
};

/// Results of a tile to the planes of the output. With one output per group they lie channel after channel, else row
/// after row.
void store_tile(const ConvRun& run, const Wave& wave, const Tile& tile, const float* results) {
  const ConvShape& shape = run.plan.shape;
  const std::int64_t positions = shape.window.positions(), channels = shape.out_channels, rows = tile.end - tile.begin;
  const bool channel_major = shape.groups == channels;
  tile.for_each_sample(positions, [&](std::int64_t sample, std::int64_t first, std::int64_t last, std::int64_t row) {
    float* planes = run.y + (wave.first + sample) * channels * positions + first;
    if (!channel_major)
      return add_transposed(run.weights[0].kernel->needs)(
          {results + row * channels, channels, last - first, channels, run.bias, planes, positions});
    for (std::int64_t c = 0; c < channels; ++c) {
      const float* from = results + c * rows + row;
      const float shift = run.bias ? run.bias[c] : 0.0f;
      for (std::int64_t i = 0; i < last - first; ++i) planes[c * positions + i] = from[i] + shift;
    }
  });
}

/// The operands of one group's product: patches of the tile, made where they are not there already.
void fill_operands(const ConvRun& run, const Wave& wave, const Tile& tile, std::int64_t g, const Buffer& images,
                   TileWorkspace& workspace, GemmCall& call) {
  const ConvPlan& plan = run.plan;
  const ConvShape& shape = plan.shape;
  const Window& window = shape.window;
  const std::int64_t channels = group_channels(shape), k = shape.k(), plane = window.in[0] * window.in[1];
  auto* codes = workspace.patches.as<std::int8_t>();
  call.a_stride = makes_codes(plan) ? code_row_bytes(k) : patch_stride(k);
  if (makes_codes(plan))
    call.codes = codes;
  else
    call.a = workspace.patches.as<float>();
  if (plan.path == ConvPath::code_pixels && plan.image.direct) {
    call.a_stride = plan.image.pixel_stride;
    call.codes = images.as<std::int8_t>() + (g * wave.count * window.positions() + tile.begin) * call.a_stride;
    return;
  }
  const auto zero = std::int8_t(run.scaling.zero);
  const Isa isa = run.weights[0].kernel->needs;
  tile.for_each_sample(
      window.positions(), [&](std::int64_t sample, std::int64_t first, std::int64_t last, std::int64_t row) {
        std::int8_t* rows = codes + row * call.a_stride;
        switch (plan.path) {
          case ConvPath::code_pixels:
            return gather_windows(plan, images.as<std::int8_t>() + (g * wave.count + sample) * plan.image.bytes(),
                                  first, last, zero, isa, rows, call.a_stride);
          case ConvPath::code_planes:
            copy_patches(window, channels, images.as<std::int8_t>() + (g * wave.count + sample) * planes_bytes(shape),
                         first, last, zero, rows, call.a_stride);
            for (std::int64_t i = 0; i < last - first; ++i)
              std::memset(rows + i * call.a_stride + k, zero, std::size_t(round_up(k, 64) - k));
            return;
          default: {
            const float* x = run.x + ((wave.first + sample) * shape.in_channels + g * channels) * plane;
            float* patches = workspace.patches.as<float>() + row * call.a_stride;
            if (window.is_pointwise())
              return add_transposed(isa)({x + first, plane, channels, last - first, nullptr, patches, call.a_stride});
            return copy_patches(window, channels, x, first, last, patches, call.a_stride);
          }
        }
      });
}

void run_tile(const ConvRun& run, const Wave& wave, const Tile& tile, const Buffer& images, TileWorkspace& workspace) {
  const ConvShape& shape = run.plan.shape;
  const std::int64_t rows = tile.end - tile.begin, outputs = shape.out_channels / shape.groups;
  const bool channel_major = outputs == 1;
  auto* results = wave.to_pixels ? run.y + tile.begin * shape.out_channels : workspace.results.as<float>();
  for (std::int64_t g = 0; g < shape.groups; ++g) {
    GemmCall call;
    call.m = rows;
    call.scaling = run.scaling;
    if (run.plan.per_sample)
      call.scaling.scale = run.plan.sample_scale[std::size_t(wave.first + tile.begin / shape.window.positions())];
    call.y = channel_major ? results + g * rows : results + g * outputs;
    call.y_stride = channel_major ? 1 : shape.out_channels;
    fill_operands(run, wave, tile, g, images, workspace, call);
    const PreparedMatrix& weights = run.weights[std::size_t(g)];
    gemm(weights, call, workspace.scratch);
    if (run.observer.product) run.observer.product(g * outputs, outputs, weights, call);
  }
  if (!wave.to_pixels) store_tile(run, wave, tile, results);
}

void run_tiles(const ConvRun& run, const Wave& wave, LayerWorkspaces& workspaces) {
  const ConvPlan& plan = run.plan;
  const std::int64_t positions = plan.shape.window.positions();
  const std::int64_t piece = plan.per_sample ? positions : wave.count * positions;
  const std::int64_t per_piece = (piece + plan.tile_rows - 1) / plan.tile_rows;
  const std::int64_t tiles = wave.count * positions / std::max<std::int64_t>(piece, 1) * per_piece;
  const std::int64_t workers = run.observer.product ? 1 : std::min<std::int64_t>(run.threads, tiles);
  const auto part = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t worker = begin; worker < end; ++worker) {
      for (std::int64_t t = worker; t < tiles; t += workers) {
        const std::int64_t base = t / per_piece * piece, first = t % per_piece * plan.tile_rows;
        run_tile(run, wave, {base + first, base + std::min(piece, first + plan.tile_rows)}, workspaces.images,
                 workspaces.threads[std::size_t(worker)]);
      }
    }
  };
  // By reference: a std::function that owned the loop would allocate, and a timed call allocates nothing.
  parallel_for(workers, int(std::max<std::int64_t>(workers, 1)), 1, std::cref(part));
}

/// As kernels/gemm.h scales a row: absmax over the largest code, 1 where that is no positive number.
void scale_samples(const ConvRun& run) {
  ConvPlan& plan = run.plan;
  const std::int64_t size = plan.shape.in_channels * plan.shape.window.in[0] * plan.shape.window.in[1];
  const RowQuantizer with = row_quantizer(run.weights[0].kernel->needs);
  const auto largest = float(code_range(run.scaling).high);
  const auto part = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t sample = begin; sample < end; ++sample) {
      const float scale = with.absolute_maximum(run.x + sample * size, size) / largest;
      plan.sample_scale[std::size_t(sample)] = scale > 0.0f && std::isfinite(scale) ? scale : 1.0f;
    }
  };
  parallel_for(std::ssize(plan.sample_scale), run.threads, 1, std::cref(part));
}

void run_depthwise(const ConvRun& run, DepthwiseScratch& scratch) {
  const ConvShape& shape = run.plan.shape;
  DepthwiseCall call;
  call.batch = shape.batch;
  call.channels = shape.in_channels;
  call.multiplier = shape.out_channels / shape.in_channels;
  for (std::size_t axis = 0; axis < Window::kAxes; ++axis) {
    call.in[axis] = shape.window.in[axis];
    call.out[axis] = shape.window.out[axis];
    call.kernel[axis] = shape.window.kernel[axis];
    call.stride[axis] = shape.window.stride[axis];
    call.dilation[axis] = shape.window.dilation[axis];
    call.pad[axis] = shape.window.begin[axis];
  }
  call.x = run.x;
  call.scaling = run.scaling;
  if (run.plan.per_sample) call.sample_scale = run.plan.sample_scale.data();
  call.bias = run.bias;
  call.y = run.y;
  call.threads = run.threads;
  depthwise(run.weights[0], call, scratch);
  if (run.observer.depthwise) run.observer.depthwise(run.weights[0], call);
}

}  // namespace

std::int64_t LayerWorkspaces::bytes() const {
  std::int64_t bytes = std::int64_t(images.size()) + depthwise.bytes();
  for (const TileWorkspace& thread : threads) bytes += thread.bytes();
  return bytes;
}

std::int64_t rows_together(const ConvPlan& plan) {
  return (plan.per_sample ? 1 : plan.shape.batch) * plan.shape.window.positions();
}

void plan_products(ConvPlan& plan, const KernelInfo& kernel, bool order_is_free, int threads) {
  const ConvShape& shape = plan.shape;
  const std::int64_t positions = shape.window.positions();
  const bool any_order = order_is_free || shape.window.area() == 1 || group_channels(shape) == 1;
  plan.path = ConvPath::float_rows;
  plan.column_step = kernel.column_step;
  plan.float_windows = float_windows_variant(kernel);
  if (kernel.activations == Activations::s8) {
    plan.path = any_order ? ConvPath::code_pixels : ConvPath::code_planes;
    if (any_order) plan.image = plan_code_image(shape);
  } else if (plan.float_windows.products && any_order && !shape.window.is_pointwise() &&
             group_channels(shape) % plan.float_windows.channel_step == 0) {
    plan.path = ConvPath::float_pixels;
    plan.image = plan_float_image(shape, plan.float_windows.pixels);
  }
  const std::int64_t row_bytes = patch_bytes(plan) + shape.out_channels * std::int64_t(sizeof(float));
  const std::int64_t samples_of_tile = kTileBytes / row_bytes / positions + 1;
  plan.wave = shape.batch;
  if (makes_codes(plan) || reads_in_place(plan))
    plan.wave = std::min(shape.batch, std::max<std::int64_t>(threads, plan.per_sample ? 1 : samples_of_tile));
  plan.tile_rows = choose_tile_rows(row_bytes, plan.per_sample ? positions : plan.wave * positions, threads);
  plan.sample_scale.assign(plan.per_sample ? std::size_t(shape.batch) : 0, 1.0f);
}

bool reorders_weights(const ConvPlan& plan) {
  const bool pixels = plan.path == ConvPath::code_pixels || plan.path == ConvPath::float_pixels;
  return pixels && plan.shape.window.area() > 1 && group_channels(plan.shape) > 1;
}

void reserve_workspaces(const ConvPlan& plan, LayerWorkspaces& workspaces) {
  if (plan.path == ConvPath::depthwise) return;
  const auto grow = [](Buffer& buffer, std::int64_t bytes) {
    if (std::int64_t(buffer.size()) < bytes) buffer = Buffer(std::size_t(bytes));
  };
  const ConvShape& shape = plan.shape;
  if (reads_in_place(plan)) reserve_in_place(plan, workspaces);
  for (TileWorkspace& workspace : workspaces.threads) {
    if (!reads_in_place(plan)) {
      grow(workspace.patches, plan.tile_rows * patch_bytes(plan));
      grow(workspace.results, plan.tile_rows * shape.out_channels * std::int64_t(sizeof(float)));
    }
    if (plan.path == ConvPath::code_pixels) grow(workspace.planes, block_bytes(shape));
    if (plan.path == ConvPath::float_pixels) grow(workspace.planes, float_row_bytes(plan));
  }
  if (makes_codes(plan) || reads_in_place(plan)) grow(workspaces.images, plan.wave * images_bytes(plan));
}

void run_conv(const ConvRun& run, LayerWorkspaces& workspaces) {
  if (run.plan.per_sample) scale_samples(run);
  if (run.plan.path == ConvPath::depthwise) return run_depthwise(run, workspaces.depthwise);
  for (std::int64_t first = 0; first < run.plan.shape.batch; first += run.plan.wave) {
    const Wave wave{.first = first, .count = std::min(run.plan.wave, run.plan.shape.batch - first)};
    if (makes_codes(run.plan)) make_code_images(run, wave.first, wave.count, workspaces);
    if (run.plan.path == ConvPath::float_pixels) make_float_images(run, wave.first, wave.count, workspaces);
    if (reads_in_place(run.plan))
      run_in_place(run, {wave.first, wave.count}, workspaces);
    else
      run_tiles(run, wave, workspaces);
  }
}

void run_on_codes(const ConvRun& run, LayerWorkspaces& workspaces) {
  const ConvShape& shape = run.plan.shape;
  QB_EXPECTS(run.plan.path == ConvPath::code_pixels && run.plan.wave == shape.batch && run.bias == nullptr);
  QB_EXPECTS(shape.groups < shape.out_channels || shape.groups == 1);
  if (run.plan.in_place.products) return run_in_place(run, {0, shape.batch, /*to_pixels=*/true}, workspaces);
  run_tiles(run, {0, shape.batch, /*to_pixels=*/true}, workspaces);
}

}  // namespace qb
