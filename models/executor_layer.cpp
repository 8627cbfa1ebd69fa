#include "models/executor_layer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

#include "kernels/base/parallel.h"
#include "models/patches.h"

namespace qb {

namespace {

/// Patches and results of one tile stay in half of a typical second-level cache beside a panel of weights.
constexpr std::int64_t kTileFloats = (std::int64_t(384) << 10) / 4;
constexpr std::int64_t kRowStep = 24;  ///< tiles are multiples of it where there are so many rows

PackedMatrix rows_of(const PackedMatrix& all, std::int64_t begin, std::int64_t count) {
  if (all.format.kind == CodeKind::f32) return pack_f32({all.codes.as<float>() + begin * all.k, count, all.k, all.k});
  const std::vector<std::uint8_t> codes = unpack_codes(all);
  UnpackedMatrix part{
      all.format, count, all.k, {codes.begin() + begin * all.k, codes.begin() + (begin + count) * all.k}, {}, {}, {}};
  const auto share = [&](const auto& values, auto& target) {
    const bool one_for_all = all.format.sharing == Sharing::tensor;
    const auto per_row = std::ssize(values) / (one_for_all ? 1 : all.n);
    const auto from = values.begin() + (one_for_all ? 0 : begin * per_row);
    target.assign(from, from + (one_for_all ? per_row : count * per_row));
  };
  share(all.scales, part.scales);
  share(all.zeros, part.zeros);
  share(all.table, part.table);
  return pack(part);
}

/// Rows per tile so that a tile fits its share of the cache, threads all have work, and no tile is a small rest.
std::int64_t choose_tile_rows(const ConvShape& conv, std::int64_t total, int threads) {
  const std::int64_t per_row = patch_stride(conv.k()) + conv.out_channels;
  const std::int64_t most = std::max(kTileFloats / per_row / kRowStep * kRowStep, 2 * kRowStep);
  const std::int64_t wanted = std::min<std::int64_t>(threads, (total + kRowStep - 1) / kRowStep);
  const std::int64_t tiles = std::max<std::int64_t>({1, wanted, (total + most - 1) / most});
  const std::int64_t even = (total + tiles - 1) / tiles;
  return std::max<std::int64_t>(1, std::min(total, (even + kRowStep - 1) / kRowStep * kRowStep));
}

/// The rows that share a scale: with dynamic activations a tile stays inside one sample.
std::int64_t rows_in_one_piece(const ProductLayer& layer) {
  const std::int64_t positions = layer.conv.window.positions();
  return layer.sample_scale.empty() ? layer.conv.batch * positions : positions;
}

void plan_conv_layer(ProductLayer& layer, const OpSite& site, int threads) {
  const MatrixWeight& where = layer.info.where;
  std::vector<std::int64_t> kernel;
  if (site.shape(1).size() > 2) kernel.assign(site.shape(1).begin() + 2, site.shape(1).end());
  layer.conv = plan_conv_shape(site, where.n, kernel);
  if (layer.conv.k() != where.k)
    site.fail(fmt::format(
        "weights of {} elements per output channel do not fit {} input channels in {} groups with a kernel of {}",
        where.k, layer.conv.in_channels, layer.conv.groups, layer.conv.window.area()));
  if (layer.has_bias && site.shape(2) != Shape{where.n})
    site.fail(fmt::format("the bias has the shape {} but must be [{}]", to_text(site.shape(2)), where.n));
  if (layer.activation && !layer.activation->is_static) layer.sample_scale.resize(std::size_t(layer.conv.batch), 1.0f);
  layer.output = {DType::f32, window_result(site, layer.conv.window, where.n)};
  layer.tile_rows = choose_tile_rows(layer.conv, rows_in_one_piece(layer), threads);
}

void plan_dense_layer(ProductLayer& layer, const OpSite& site) {
  const MatrixWeight& where = layer.info.where;
  const Shape& a = site.shape(0);
  const bool gemm = site.node->op == "Gemm";
  if (a.empty() || a.back() != where.k || (gemm && a.size() != 2))
    site.fail(fmt::format("an input of shape {} does not fit weights of {} inputs", to_text(a), where.k));
  Shape shape(a.begin(), a.end() - 1);
  layer.rows = element_count(shape);
  shape.push_back(where.n);
  layer.output = {DType::f32, shape};
  layer.beta = gemm ? site.node->number_or("beta", 1.0f) : 1.0f;
  if (!layer.has_bias) return;
  if (!gemm) site.fail("takes two inputs");
  if (broadcast_shape(site, std::vector<OpInput>{{true, DType::f32, shape, nullptr}, site.inputs[2]}) != shape)
    site.fail(
        fmt::format("input 2 of shape {} does not fit a result of shape {}", to_text(site.shape(2)), to_text(shape)));
  if (layer.rows > 0) layer.bias_walk = plan_walk(shape, {site.shape(2), shape});
}

}  // namespace

std::int64_t ProductLayer::prepared_bytes() const {
  std::int64_t bytes = 0;
  for (const PreparedMatrix& group : groups) bytes += std::int64_t(group.bytes.size());
  return bytes;
}

ProductLayer prepare_layer(const Model& model, const MatrixWeight& use, const OpSite& site,
                           const ExecutorOptions& options) {
  ProductLayer layer;
  const Weight& weight = model.weights.find(use.weight)->second;
  const auto* packed = std::get_if<PackedMatrix>(&weight);
  if (!packed) {
    const std::vector<float> values = matrix_values(model, use);
    layer.own = std::make_unique<PackedMatrix>(pack_f32({values.data(), use.n, use.k, use.k}));
    packed = layer.own.get();
  }
  layer.info = {use, site.node->name, site.node->op, nullptr, packed, nullptr};
  layer.activation = site.node->activation;
  layer.has_bias = site.has(2);
  site.expect_dtype(0, DType::f32);
  if (layer.has_bias) site.expect_dtype(2, DType::f32);
  if (site.node->op == "Conv") {
    plan_conv_layer(layer, site, options.threads);
  } else {
    plan_dense_layer(layer, site);
  }

  const Activations activations = layer.activation ? Activations::s8 : Activations::f32;
  layer.info.kernel = choose_kernel(options.kernel, activations, packed->format, use.k,
                                    layer.is_conv() ? layer.tile_rows : layer.rows, options.isa);
  if (!layer.info.kernel)
    throw Unsupported(fmt::format("node '{}' ({}): no kernel computes {} activations with weights packed as {}",
                                  site.node->name, site.node->op, name_of(activations), to_text(packed->format)));
  const std::int64_t groups = layer.is_conv() ? layer.conv.groups : 1, rows = use.n / groups;
  for (std::int64_t g = 0; g < groups; ++g)
    layer.groups.push_back(prepare(*layer.info.kernel, groups == 1 ? *packed : rows_of(*packed, g * rows, rows)));
  layer.info.prepared = &layer.groups[0];
  return layer;
}

void reserve_workspaces(const ProductLayer& layer, int threads, std::vector<TileWorkspace>& workspaces) {
  if (std::ssize(workspaces) < threads) workspaces.resize(std::size_t(threads));
  if (!layer.is_conv()) return;
  const auto patches = std::size_t(layer.tile_rows * patch_stride(layer.conv.k())) * sizeof(float);
  const auto results = std::size_t(layer.tile_rows * layer.conv.out_channels) * sizeof(float);
  for (TileWorkspace& workspace : workspaces) {
    if (workspace.patches.size() < patches) workspace.patches = Buffer(patches);
    if (workspace.results.size() < results) workspace.results = Buffer(results);
  }
}

namespace {

RowScaling scaling_of(const ProductLayer& layer, std::int64_t sample) {
  if (!layer.activation) return {};
  const ActivationQuant& quant = *layer.activation;
  if (quant.is_static) return {RowScaling::Kind::fixed, quant.bits, quant.scale, quant.zero};
  if (!layer.is_conv()) return {RowScaling::Kind::dynamic_rows, quant.bits, 1.0f, 0};
  return {RowScaling::Kind::fixed, quant.bits, layer.sample_scale[std::size_t(sample)], 0};
}

/// The largest |x|; bit patterns of positive floats are ordered as integers. NaN counts as more than infinity.
float absolute_maximum(const float* x, std::int64_t count) {
  std::int32_t most = 0;
  for (std::int64_t i = 0; i < count; ++i) most = std::max(most, std::bit_cast<std::int32_t>(x[i]) & 0x7fffffff);
  return std::bit_cast<float>(most);
}

/// As kernels/gemm.h scales a row: absmax over the largest code, 1 where that is no positive number.
void scale_samples(ProductLayer& layer, const float* x, int threads) {
  const std::int64_t size = layer.conv.in_channels * layer.conv.window.in[0] * layer.conv.window.in[1];
  const auto largest = float((1 << (layer.activation->bits - 1)) - 1);
  const auto part = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t sample = begin; sample < end; ++sample) {
      const float scale = absolute_maximum(x + sample * size, size) / largest;
      layer.sample_scale[std::size_t(sample)] = scale > 0.0f && std::isfinite(scale) ? scale : 1.0f;
    }
  };
  parallel_for(std::ssize(layer.sample_scale), threads, 1, std::cref(part));
}

/// A tile of a convolution: rows [begin, end) of the patch matrix, counted over all samples.
struct Tile {
  std::int64_t begin = 0, end = 0;

  /// Calls body(sample, first position, last position, row of the tile) for each sample that the tile touches.
  template <class Body>
  void for_each_sample(std::int64_t positions, Body body) const {
    for (std::int64_t row = begin; row < end;) {
      const std::int64_t sample = row / positions, stop = std::min(end, (sample + 1) * positions);
      body(sample, row - sample * positions, stop - sample * positions, row - begin);
      row = stop;
    }
  }
};

/// Results of a tile to the planes of the output. Depthwise results lie channel after channel, others row after row.
void store_tile(const ProductLayer& layer, const Tile& tile, const float* results, const float* bias, float* y) {
  const std::int64_t positions = layer.conv.window.positions(), channels = layer.conv.out_channels,
                     rows = tile.end - tile.begin;
  const bool channel_major = layer.conv.groups == channels;
  tile.for_each_sample(positions, [&](std::int64_t sample, std::int64_t first, std::int64_t last, std::int64_t row) {
    float* planes = y + sample * channels * positions + first;
    if (!channel_major)
      return transpose_add(results + row * channels, channels, last - first, channels, bias, planes, positions);
    for (std::int64_t c = 0; c < channels; ++c) {
      const float* from = results + c * rows + row;
      const float shift = bias ? bias[c] : 0.0f;
      for (std::int64_t i = 0; i < last - first; ++i) planes[c * positions + i] = from[i] + shift;
    }
  });
}

struct ConvRun {
  const ProductLayer& layer;
  const float* x;
  const float* bias;
  float* y;
  const std::function<void(const GemmEvent&)>& product;
  std::size_t index;
};

void run_tile(const ConvRun& run, const Tile& tile, TileWorkspace& workspace) {
  const ConvShape& conv = run.layer.conv;
  const std::int64_t rows = tile.end - tile.begin, stride = patch_stride(conv.k()),
                     plane = conv.window.in[0] * conv.window.in[1];
  const std::int64_t channels = conv.in_channels / conv.groups, outputs = conv.out_channels / conv.groups;
  const bool channel_major = outputs == 1;
  auto* patches = workspace.patches.as<float>();
  auto* results = workspace.results.as<float>();
  for (std::int64_t g = 0; g < conv.groups; ++g) {
    tile.for_each_sample(
        conv.window.positions(), [&](std::int64_t sample, std::int64_t first, std::int64_t last, std::int64_t row) {
          copy_patches(conv.window, channels, run.x + (sample * conv.in_channels + g * channels) * plane, first, last,
                       patches + row * stride, stride);
        });
    const PreparedMatrix& weights = run.layer.groups[std::size_t(g)];
    const GemmCall call{rows,
                        patches,
                        stride,
                        scaling_of(run.layer, tile.begin / conv.window.positions()),
                        channel_major ? results + g * rows : results + g * outputs,
                        channel_major ? 1 : conv.out_channels,
                        1};
    gemm(weights, call, workspace.scratch);
    if (run.product) run.product({run.index, g * outputs, outputs, &weights, &call});
  }
  store_tile(run.layer, tile, results, run.bias, run.y);
}

void run_conv(const ConvRun& run, int threads, std::vector<TileWorkspace>& workspaces) {
  const std::int64_t piece = rows_in_one_piece(run.layer), tile_rows = run.layer.tile_rows;
  const std::int64_t per_piece = (piece + tile_rows - 1) / tile_rows;
  const std::int64_t pieces =
      run.layer.conv.batch * run.layer.conv.window.positions() / std::max<std::int64_t>(piece, 1);
  const std::int64_t tiles = pieces * per_piece;
  const std::int64_t workers = run.product ? 1 : std::min<std::int64_t>(threads, tiles);
  const auto part = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t worker = begin; worker < end; ++worker) {
      for (std::int64_t t = worker; t < tiles; t += workers) {
        const std::int64_t base = t / per_piece * piece, first = t % per_piece * tile_rows;
        run_tile(run, {base + first, base + std::min(piece, first + tile_rows)}, workspaces[std::size_t(worker)]);
      }
    }
  };
  parallel_for(workers, int(std::max<std::int64_t>(workers, 1)), 1, std::cref(part));
}

void run_dense(const ProductLayer& layer, const OpRun& run, GemmScratch& scratch,
               const std::function<void(const GemmEvent&)>& product, std::size_t index) {
  const MatrixWeight& where = layer.info.where;
  float* y = run.outputs[0]->as<float>().data();
  const GemmCall call{layer.rows, run.inputs[0]->as<float>().data(), where.k, scaling_of(layer, 0), y, where.n,
                      run.threads};
  gemm(layer.groups[0], call, scratch);
  if (product) product({index, 0, where.n, &layer.groups[0], &call});
  if (!layer.has_bias || layer.rows == 0) return;
  const float* c = run.inputs[2]->as<float>().data();
  const BroadcastWalk& walk = layer.bias_walk;
  for_each_outer(walk, [&](std::int64_t at, const std::int64_t* offset) {
    const float* from = c + offset[0];
    if (walk.inner_step[0] == 1) {
      for (std::int64_t i = 0; i < walk.inner; ++i) y[at + i] += layer.beta * from[i];
    } else {
      for (std::int64_t i = 0; i < walk.inner; ++i) y[at + i] += layer.beta * *from;
    }
  });
}

}  // namespace

void run_layer(ProductLayer& layer, const OpRun& run, std::vector<TileWorkspace>& workspaces,
               const std::function<void(const GemmEvent&)>& product, std::size_t index) {
  if (!layer.is_conv()) return run_dense(layer, run, workspaces[0].scratch, product, index);
  const float* x = run.inputs[0]->as<float>().data();
  if (!layer.sample_scale.empty()) scale_samples(layer, x, run.threads);
  run_conv({layer, x, layer.has_bias ? run.inputs[2]->as<float>().data() : nullptr, run.outputs[0]->as<float>().data(),
            product, index},
           run.threads, workspaces);
}

}  // namespace qb
