#include "models/integer_layer.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "kernels/base/parallel.h"
#include "kernels/convolution/variants.h"
#include "kernels/panels.h"
#include "models/code_pixels.h"

namespace qb {

namespace {

constexpr std::int64_t kExact = std::int64_t(1) << 24;        ///< float32 holds all integers up to here
constexpr std::int64_t kMostColumns = std::int64_t(1) << 15;  ///< of a piece, within what every kernel takes
constexpr std::int64_t kColumns = 64;  ///< a matrix product is divided at multiples of it: rows need no padding there
constexpr std::int64_t kFewChannels = 4;  ///< convolutions are divided at multiples of it, which kernels read in place
constexpr std::int64_t kWaveBytes = std::int64_t(2) << 20;  ///< results that wait to become planes

/// The constant weights of a node as rows.
struct Weights {
  std::int64_t n = 0, k = 0;
  std::int64_t unit = 1;            ///< neighbouring columns that stay in one piece
  std::vector<std::uint8_t> codes;  ///< [n, k]
  std::vector<std::uint8_t> zeros;  ///< [n]

  std::int64_t units() const { return (k + unit - 1) / unit; }
  int value(std::int64_t row, std::int64_t column) const {
    return int(codes[std::size_t(row * k + column)]) - int(zeros[std::size_t(row)]);
  }
};

/// Codes as unsigned bytes: those of i8 and their zero points are moved by 128.
std::uint8_t unsigned_code(const Tensor& tensor, std::int64_t i) {
  return std::uint8_t(tensor.bytes.as<std::uint8_t>()[i] ^ (tensor.dtype == DType::i8 ? 0x80 : 0));
}

Weights weights_of(const OpSite& site, const IntegerInputs& inputs, bool conv) {
  const Tensor& tensor = *site.inputs[inputs.w].constant;
  const Tensor* zero = site.has(inputs.w_zero) ? site.inputs[inputs.w_zero].constant : nullptr;
  Weights w;
  w.n = tensor.shape[conv ? 0 : 1];
  w.k = tensor.size() / std::max<std::int64_t>(1, w.n);
  w.unit = conv ? w.k / tensor.shape[1] : kColumns;
  w.codes.resize(std::size_t(tensor.size()));
  for (std::int64_t i = 0; i < w.n; ++i) {
    for (std::int64_t t = 0; t < w.k; ++t)
      w.codes[std::size_t(i * w.k + t)] = unsigned_code(tensor, conv ? i * w.k + t : t * w.n + i);
    w.zeros.push_back(zero ? unsigned_code(*zero, zero->size() == 1 ? 0 : i) : tensor.dtype == DType::i8 ? 0x80 : 0);
  }
  return w;
}

/// The least and the greatest code less the zero point of x.
struct Range {
  std::int64_t low = -255, high = 255;
};

Range range_of(const OpSite& site, const IntegerInputs& inputs) {
  const OpInput& zero = site.inputs[inputs.x_zero];
  if (zero.given && !zero.constant) return {};
  const bool has_sign = site.dtype(inputs.x) == DType::i8;
  const std::int64_t point = !zero.given ? 0
                             : has_sign  ? std::int64_t(zero.constant->as<std::int8_t>()[0])
                                         : std::int64_t(zero.constant->as<std::uint8_t>()[0]);
  return has_sign ? Range{-128 - point, 127 - point} : Range{-point, 255 - point};
}

/// Sums over the units before each of the positive and of the negative weights, [n, units + 1] each.
struct SignedSums {
  std::vector<std::int64_t> positive, negative;
};

SignedSums signed_sums(const Weights& w) {
  SignedSums sums;
  for (std::int64_t i = 0; i < w.n; ++i) {
    std::int64_t positive = 0, negative = 0;
    for (std::int64_t t = 0; t < w.k; ++t) {
      if (t % w.unit == 0) {
        sums.positive.push_back(positive);
        sums.negative.push_back(negative);
      }
      const int value = w.value(i, t);
      (value > 0 ? positive : negative) += value > 0 ? value : -value;
    }
    sums.positive.push_back(positive);
    sums.negative.push_back(negative);
  }
  return sums;
}

/// Units at which pieces of equal size begin, so that no sum of a piece exceeds kExact; empty where a unit does.
std::vector<std::int64_t> divide(const Weights& w, const Range& range) {
  const SignedSums sums = signed_sums(w);
  const std::int64_t units = w.units();
  const auto fits = [&](std::int64_t begin, std::int64_t end) {
    if ((end - begin) * w.unit > kMostColumns) return false;
    for (std::int64_t i = 0; i < w.n; ++i) {
      const auto from = std::size_t(i * (units + 1) + begin), to = std::size_t(i * (units + 1) + end);
      const std::int64_t positive = sums.positive[to] - sums.positive[from],
                         negative = sums.negative[to] - sums.negative[from];
      if (std::max(positive * range.high - negative * range.low, negative * range.high - positive * range.low) > kExact)
        return false;
    }
    return true;
  };
  for (std::int64_t count = 1; count <= units; ++count) {
    const std::int64_t even = (units + count - 1) / count;
    for (const std::int64_t size : {round_up(even, kFewChannels), even}) {
      std::vector<std::int64_t> begin;
      bool all = true;
      for (std::int64_t at = 0; at < units && all; at += size) {
        begin.push_back(at);
        all = fits(at, std::min(units, at + size));
      }
      if (all) return begin;
    }
  }
  return {};
}

/// Columns [begin, end) with scale 1.
PackedMatrix packed_part(const Weights& w, std::int64_t begin, std::int64_t end) {
  UnpackedMatrix part;
  part.n = w.n;
  part.k = end - begin;
  part.format = {CodeKind::integer, 8, Sharing::channel, 0, false};
  part.format.zeros = std::ranges::any_of(w.zeros, [](std::uint8_t zero) { return zero != 0x80; });
  part.scales.assign(std::size_t(w.n), 1.0f);
  if (part.format.zeros) part.zeros = w.zeros;
  for (std::int64_t i = 0; i < w.n; ++i)
    part.codes.insert(part.codes.end(), w.codes.begin() + i * w.k + begin, w.codes.begin() + i * w.k + end);
  return pack(part);
}

bool goes_to_kernels(const OpSite& site, const IntegerInputs& inputs, bool conv) {
  const OpInput &w = site.inputs[inputs.w], &w_zero = site.inputs[inputs.w_zero], &x_zero = site.inputs[inputs.x_zero];
  if (!w.constant || (w_zero.given && !w_zero.constant) || (x_zero.given && element_count(x_zero.shape) != 1))
    return false;
  return (conv || w.shape.size() == 2) && element_count(w.shape) > 0 && element_count(site.shape(inputs.x)) > 0;
}

/// The shape of a convolution; the site's input 0 is x with all operators.
ConvShape conv_shape_of(const OpSite& site, const IntegerInputs& inputs) {
  const Shape& w = site.shape(inputs.w);
  return plan_conv_shape(site, w[0], {w.begin() + 2, w.end()});
}

/// The largest divisor of the batch whose results fit kWaveBytes, at least 1.
std::int64_t wave_of(const ConvShape& shape) {
  const std::int64_t most = kWaveBytes / (4 * shape.window.positions() * shape.out_channels);
  std::int64_t wave = std::clamp<std::int64_t>(most, 1, shape.batch);
  while (shape.batch % wave != 0) --wave;
  return wave;
}

ProductLayer plan_piece(const OpSite& site, std::size_t node, const IntegerLayer& layer, PackedMatrix packed,
                        const ExecutorOptions& options) {
  ProductLayer piece;
  piece.own = std::make_unique<PackedMatrix>(std::move(packed));
  const std::int64_t groups = layer.conv ? layer.conv->groups : 1;
  piece.info.where = {node, site.node->inputs[layer.inputs.w], piece.own->n, piece.own->k, groups, !layer.conv};
  piece.info.node_name = site.node->name;
  piece.info.op = site.node->op;
  piece.info.packed = piece.own.get();
  piece.activation = ActivationQuant{.is_static = true};
  piece.rows = layer.rows;
  if (layer.conv) {
    piece.conv.emplace().shape = *layer.conv;
    piece.conv->shape.batch = layer.wave;
    piece.conv->shape.in_channels = groups * (piece.own->k / layer.conv->window.area());
  }
  complete_layer(piece, options);
  if (piece.conv && piece.conv->path != ConvPath::depthwise) piece.conv->wave = layer.wave;
  return piece;
}

}  // namespace

std::optional<IntegerInputs> integer_inputs(const Node& node) {
  if (node.op == "ConvInteger" || node.op == "MatMulInteger") return IntegerInputs{};
  if (node.op == "QLinearConv" || node.op == "QLinearMatMul") return IntegerInputs{0, 2, 3, 5};
  return std::nullopt;
}

std::optional<IntegerLayer> plan_integer_layer(const OpSite& site, std::size_t node, const ExecutorOptions& options,
                                               std::vector<ProductLayer>& layers) {
  const std::optional<IntegerInputs> inputs = integer_inputs(*site.node);
  const bool conv = site.node->op.ends_with("Conv") || site.node->op.starts_with("Conv");
  if (!inputs || !goes_to_kernels(site, *inputs, conv)) return std::nullopt;
  const Weights weights = weights_of(site, *inputs, conv);
  const std::vector<std::int64_t> begin = divide(weights, range_of(site, *inputs));
  if (begin.empty()) return std::nullopt;
  IntegerLayer layer{.inputs = *inputs,
                     .first = layers.size(),
                     .begin = {},
                     .conv = std::nullopt,
                     .k = weights.k,
                     .n = weights.n,
                     .result = IntegerResult(site, weights.n)};
  if (conv) {
    layer.conv = conv_shape_of(site, *inputs);
    layer.wave = wave_of(*layer.conv);
  } else {
    layer.rows = element_count(site.shape(inputs->x)) / layer.k;
  }
  const bool single_results = conv && layer.conv->groups > 1 && layer.conv->groups == layer.conv->out_channels;
  if (single_results && begin.size() > 1) return std::nullopt;  // run_on_codes() leaves such groups to run_conv()
  for (std::size_t i = 0; i < begin.size(); ++i) {
    const std::int64_t first = begin[i] * weights.unit,
                       last = i + 1 < begin.size() ? begin[i + 1] * weights.unit : weights.k;
    layers.push_back(plan_piece(site, node, layer, packed_part(weights, first, last), options));
    layer.begin.push_back(conv ? begin[i] : first);
  }
  layer.by_values = conv && (single_results || layers.back().conv->path != ConvPath::code_pixels);
  return layer;
}

std::int64_t IntegerWorkspace::bytes() const {
  const auto all = std::int64_t(codes.size() + results.size() + sums.size());
  return std::accumulate(threads.begin(), threads.end(), all,
                         [](std::int64_t sum, const Buffer& buffer) { return sum + std::int64_t(buffer.size()); });
}

namespace {

/// One run of one node.
class IntegerRun {
 public:
  IntegerRun(IntegerLayer& layer, std::span<ProductLayer> pieces, const OpRun& run, LayerWorkspaces& workspaces,
             IntegerWorkspace& own, const ExecutorObserver& observer)
      : layer_(layer), pieces_(pieces), run_(run), workspaces_(workspaces), own_(own), observer_(observer) {
    x_.codes = run.inputs[layer.inputs.x];
    const Tensor* zero = layer.inputs.x_zero < run.inputs.size() ? run.inputs[layer.inputs.x_zero] : nullptr;
    x_.zero = std::int8_t((zero ? zero->bytes.as<std::uint8_t>()[0] : 0) ^ x_.flipped());
    layer.result.read(run);
  }

  void multiply() {
    const std::int64_t stride = round_up(layer_.k, kColumns) + kColumns, each = layer_.rows * layer_.n;
    grow(own_.codes, layer_.rows * stride);
    grow(own_.results, std::ssize(pieces_) * each * 4);
    grow(own_.sums, each * 4);
    make_code_rows(x_, layer_.rows, layer_.k, own_.codes.as<std::int8_t>(), stride, run_.threads);
    for (std::size_t p = 0; p < pieces_.size(); ++p) {
      GemmCall call;
      call.m = layer_.rows;
      call.a_stride = stride;
      call.scaling = scaling();
      call.y = own_.results.as<float>() + std::int64_t(p) * each;
      call.y_stride = layer_.n;
      call.threads = run_.threads;
      call.codes = own_.codes.as<std::int8_t>() + layer_.begin[p];
      gemm(pieces_[p].groups[0], call, workspaces_.threads[0].scratch);
      if (observer_.product) observer_.product({layer_.first + p, 0, layer_.n, &pieces_[p].groups[0], &call});
    }
    auto* sums = own_.sums.as<std::int32_t>();
    const auto part = [&](std::int64_t begin, std::int64_t end) {
      add_pieces(begin * layer_.n, (end - begin) * layer_.n, each, sums + begin * layer_.n);
      for (std::int64_t row = begin; row < end; ++row) layer_.result.store_row(row, sums + row * layer_.n);
    };
    parallel_for(layer_.rows, run_.threads, std::max<std::int64_t>(1, kResultsPerThread / layer_.n), std::cref(part));
  }

  void convolve() {
    const std::int64_t results = layer_.wave * layer_.conv->out_channels * layer_.conv->window.positions();
    grow(own_.results, std::ssize(pieces_) * results * 4);
    for (std::int64_t sample = 0; sample < layer_.conv->batch; sample += layer_.wave) {
      for (std::size_t p = 0; p < pieces_.size(); ++p) {
        float* y = own_.results.as<float>() + std::int64_t(p) * results;
        if (layer_.by_values)
          convolve_values(sample, y);
        else
          convolve_codes(sample, p, y);
      }
      if (layer_.by_values)
        store_planes(sample);
      else
        store_pixels(sample, results);
    }
  }

 private:
  static constexpr std::int64_t kResultsPerThread = 1 << 13;
  static constexpr std::int64_t kTileChannels = 32, kTilePositions = 256;  ///< results that become planes together

  RowScaling scaling() const { return {RowScaling::Kind::fixed, 8, 1.0f, x_.zero}; }

  void convolve_codes(std::int64_t sample, std::size_t p, float* y) {
    ProductLayer& piece = pieces_[p];
    make_code_pixels({x_, layer_.conv->in_channels, layer_.begin[p], sample}, *piece.conv,
                     workspaces_.images.as<std::int8_t>(), own_.threads, run_.threads);
    const ConvObserver seen = conv_observer(observer_, layer_.first + p);
    run_on_codes({*piece.conv, piece.groups, scaling(), nullptr, nullptr, y, run_.threads, seen}, workspaces_);
  }

  /// Real values that a static grid of scale 1 makes the same codes again. A grid with zero point 0 lacks -128: there
  /// the values change their signs, and the zero point becomes -1.
  void convolve_values(std::int64_t sample, float* y) {
    ProductLayer& piece = pieces_[0];
    const Window& window = layer_.conv->window;
    const std::int64_t size = layer_.conv->in_channels * window.in[0] * window.in[1];
    grow(own_.codes, layer_.wave * size * 4);
    auto* values = own_.codes.as<float>();
    make_real_values(x_, sign(), sample * size, layer_.wave * size, values, run_.threads);
    RowScaling scaling = this->scaling();
    if (scaling.zero == 0) scaling.zero = -1;
    const ConvObserver seen = conv_observer(observer_, layer_.first);
    run_conv({*piece.conv, piece.groups, scaling, values, nullptr, y, run_.threads, seen}, workspaces_);
  }
  float sign() const { return x_.zero == 0 ? -1.0f : 1.0f; }

  /// sums[i] = the pieces' sums number begin + i added, modulo 2^32.
  void add_pieces(std::int64_t begin, std::int64_t count, std::int64_t each, std::int32_t* sums) const {
    const float* from = own_.results.as<float>() + begin;
    for (std::int64_t i = 0; i < count; ++i) sums[i] = std::int32_t(from[i]);
    for (std::size_t p = 1; p < pieces_.size(); ++p) {
      from += each;
      for (std::int64_t i = 0; i < count; ++i) sums[i] = wrapping_sum(sums[i], std::int32_t(from[i]));
    }
  }

  /// Results that lie as planes already.
  void store_planes(std::int64_t sample) {
    const std::int64_t positions = layer_.conv->window.positions(), channels = layer_.conv->out_channels;
    const float sign = this->sign();
    const float* results = own_.results.as<float>();
    grow(own_.sums, layer_.wave * channels * positions * 4);
    const auto part = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t plane = begin; plane < end; ++plane) {
        std::int32_t* sums = own_.sums.as<std::int32_t>() + plane * positions;
        for (std::int64_t i = 0; i < positions; ++i) sums[i] = std::int32_t(sign * results[plane * positions + i]);
        layer_.result.store_channel(plane % channels, sums, positions, (sample * channels + plane) * positions);
      }
    };
    parallel_for(layer_.wave * channels, run_.threads, std::max<std::int64_t>(1, kResultsPerThread / positions),
                 std::cref(part));
  }

  /// Results that lie as pixels, `each` of a piece.
  void store_pixels(std::int64_t sample, std::int64_t each) {
    const std::int64_t positions = layer_.conv->window.positions(), channels = layer_.conv->out_channels;
    const std::int64_t across = (channels + kTileChannels - 1) / kTileChannels,
                       along = (positions + kTilePositions - 1) / kTilePositions, tiles = layer_.wave * across * along;
    const std::int64_t useful = std::max<std::int64_t>(1, each / kResultsPerThread);
    const std::int64_t workers = std::min<std::int64_t>({run_.threads, tiles, useful});
    if (std::ssize(own_.threads) < workers) own_.threads.resize(std::size_t(workers));
    for (Buffer& buffer : own_.threads) grow(buffer, 2 * kTileChannels * kTilePositions * 4);
    const auto part = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t worker = begin; worker < end; ++worker)
        for (std::int64_t tile = worker; tile < tiles; tile += workers)
          store_tile(sample, tile / (across * along), tile / along % across * kTileChannels,
                     tile % along * kTilePositions, each, own_.threads[std::size_t(worker)]);
    };
    parallel_for(workers, int(workers), 1, std::cref(part));
  }

  void store_tile(std::int64_t sample, std::int64_t of_wave, std::int64_t channel, std::int64_t position,
                  std::int64_t each, Buffer& scratch) const {
    const std::int64_t positions = layer_.conv->window.positions(), channels = layer_.conv->out_channels;
    const std::int64_t columns = std::min(kTileChannels, channels - channel),
                       count = std::min(kTilePositions, positions - position);
    auto* planes = scratch.as<float>();
    auto* sums = scratch.as<std::int32_t>() + kTileChannels * kTilePositions;
    for (std::size_t p = 0; p < pieces_.size(); ++p) {
      const float* from =
          own_.results.as<float>() + std::int64_t(p) * each + (of_wave * positions + position) * channels + channel;
      add_transposed(pieces_[p].info.kernel->needs)({from, channels, count, columns, nullptr, planes, kTilePositions});
      for (std::int64_t i = 0; i < columns * kTilePositions; ++i)
        sums[i] = p == 0 ? std::int32_t(planes[i]) : wrapping_sum(sums[i], std::int32_t(planes[i]));
    }
    for (std::int64_t c = 0; c < columns; ++c)
      layer_.result.store_channel(channel + c, sums + c * kTilePositions, count,
                                  ((sample + of_wave) * channels + channel + c) * positions + position);
  }

  IntegerLayer& layer_;
  std::span<ProductLayer> pieces_;
  const OpRun& run_;
  LayerWorkspaces& workspaces_;
  IntegerWorkspace& own_;
  const ExecutorObserver& observer_;
  CodePlanes x_;
};

}  // namespace

void run_integer_layer(IntegerLayer& layer, std::span<ProductLayer> pieces, const OpRun& run,
                       LayerWorkspaces& workspaces, IntegerWorkspace& own, const ExecutorObserver& observer) {
  IntegerRun one(layer, pieces, run, workspaces, own, observer);
  if (layer.conv)
    one.convolve();
  else
    one.multiply();
}

}  // namespace qb
