#include "models/executor_layer.h"

#include <fmt/format.h>

#include "kernels/convolution/weight_order.h"

namespace qb {

namespace {

void plan_conv_layer(ProductLayer& layer, const OpSite& site) {
  const MatrixWeight& where = layer.info.where;
  std::vector<std::int64_t> kernel;
  if (site.shape(1).size() > 2) kernel.assign(site.shape(1).begin() + 2, site.shape(1).end());
  ConvPlan& plan = layer.conv.emplace();
  plan.shape = plan_conv_shape(site, where.n, kernel);
  if (plan.shape.k() != where.k)
    site.fail(fmt::format(
        "weights of {} elements per output channel do not fit {} input channels in {} groups with a kernel of {}",
        where.k, plan.shape.in_channels, plan.shape.groups, plan.shape.window.area()));
  if (layer.has_bias && site.shape(2) != Shape{where.n})
    site.fail(fmt::format("the bias has the shape {} but must be [{}]", to_text(site.shape(2)), where.n));
  plan.per_sample = layer.activation && !layer.activation->is_static;
  layer.output = {DType::f32, window_result(site, plan.shape.window, where.n)};
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

namespace {

/// Depthwise kernels do every convolution whose groups have one input channel, where the format allows it.
const KernelInfo* depthwise_kernel(const ProductLayer& layer, const ExecutorOptions& options, Activations activations) {
  const ConvShape& shape = layer.conv->shape;
  if (shape.groups != shape.in_channels || shape.groups == 1) return nullptr;
  return choose_kernel(options.kernel, activations, layer.info.packed->format, shape.window.area(),
                       shape.window.positions(), options.isa, Operation::depthwise);
}

/// Refuses activations in groups where no kernel takes them.
void check_activation_group(const ProductLayer& layer) {
  const std::int64_t group = layer.activation ? layer.activation->group : 0;
  if (group == 0) return;
  if (layer.conv)
    throw Unsupported(
        fmt::format("node '{}' ({}): activations of convolutions have one scale per sample, none per {} "
                    "columns; leave g{} behind a<bits> out, or keep the node float",
                    layer.info.node_name, layer.info.op, group, group));
  if (!takes_activation_group(*layer.info.kernel, layer.info.packed->format, group))
    throw Unsupported(
        fmt::format("node '{}' ({}): activations with a scale per {} columns do not fit weights packed "
                    "as {}; integers in groups that divide {} do",
                    layer.info.node_name, layer.info.op, group, to_text(layer.info.packed->format), group));
}

void choose_layer_kernel(ProductLayer& layer, const ExecutorOptions& options) {
  const Activations activations = layer.activation ? Activations::s8 : Activations::f32;
  const QuantFormat& format = layer.info.packed->format;
  if (layer.conv) layer.info.kernel = depthwise_kernel(layer, options, activations);
  if (layer.info.kernel) {
    layer.conv->path = ConvPath::depthwise;
    layer.conv->sample_scale.assign(layer.conv->per_sample ? std::size_t(layer.conv->shape.batch) : 0, 1.0f);
    return;
  }
  const std::int64_t rows = layer.conv ? rows_together(*layer.conv) : layer.rows, k = layer.info.where.k;
  layer.info.kernel = choose_kernel(options.kernel, activations, format, k, rows, options.isa);
  if (!layer.info.kernel)
    throw Unsupported(fmt::format("node '{}' ({}): no kernel computes {} activations with weights packed as {}",
                                  layer.info.node_name, layer.info.op, name_of(activations), to_text(format)));
  if (layer.conv) plan_products(*layer.conv, *layer.info.kernel, order_is_free(format, k), options.threads);
}

void prepare_weights(ProductLayer& layer) {
  const PackedMatrix& packed = *layer.info.packed;
  const bool products = layer.conv && layer.conv->path != ConvPath::depthwise;
  const std::int64_t groups = products ? layer.conv->shape.groups : 1, rows = packed.n / groups;
  const std::int64_t channels = products && reorders_weights(*layer.conv) ? layer.conv->shape.in_channels / groups : 0;
  if (channels > 0 && layer.conv->path == ConvPath::code_pixels) layer.info.channels_last = channels;
  for (std::int64_t g = 0; g < groups; ++g) {
    const PackedMatrix part = rows_of(packed, g * rows, rows);
    layer.groups.push_back(prepare(*layer.info.kernel, channels > 0 ? channels_last(part, channels) : part));
  }
  if (products) read_windows_in_place(*layer.conv, layer.groups);
  layer.info.prepared = &layer.groups[0];
}

}  // namespace

void complete_layer(ProductLayer& layer, const ExecutorOptions& options) {
  choose_layer_kernel(layer, options);
  check_activation_group(layer);
  prepare_weights(layer);
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
  if (site.node->op == "Conv")
    plan_conv_layer(layer, site);
  else
    plan_dense_layer(layer, site);
  if (site.node->result) layer.fixed = plan_fixed_result(site, *packed);
  complete_layer(layer, options);
  return layer;
}

void reserve_workspaces(const ProductLayer& layer, int threads, LayerWorkspaces& workspaces) {
  if (std::ssize(workspaces.threads) < threads) workspaces.threads.resize(std::size_t(threads));
  if (layer.conv) reserve_workspaces(*layer.conv, workspaces);
}

namespace {

/// For a convolution per sample only bits and zero count.
RowScaling scaling_of(const ProductLayer& layer) {
  if (!layer.activation) return {};
  const ActivationQuant& quant = *layer.activation;
  if (quant.is_static) return {RowScaling::Kind::fixed, quant.bits, quant.scale, quant.zero};
  return {layer.conv ? RowScaling::Kind::fixed : RowScaling::Kind::dynamic_rows, quant.bits, 1.0f, 0, quant.group};
}

void run_dense(const ProductLayer& layer, const OpRun& run, GemmScratch& scratch,
               const std::function<void(const GemmEvent&)>& product, std::size_t index) {
  const MatrixWeight& where = layer.info.where;
  float* y = run.outputs[0]->as<float>().data();
  const GemmCall call{layer.rows, run.inputs[0]->as<float>().data(), where.k, scaling_of(layer), y, where.n,
                      run.threads};
  gemm(layer.groups[0], call, scratch);
  if (product) product({index, 0, where.n, &layer.groups[0], &call});
  if (layer.fixed) return requantize_results(*layer.fixed, layer.rows, 1, y, run.threads);
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

ConvObserver conv_observer(const ExecutorObserver& observer, std::size_t index) {
  ConvObserver seen;
  if (observer.product)
    seen.product = [&observer, index](std::int64_t begin, std::int64_t count, const PreparedMatrix& weights,
                                      const GemmCall& call) {
      observer.product({index, begin, count, &weights, &call});
    };
  if (observer.depthwise)
    seen.depthwise = [&observer, index](const PreparedMatrix& weights, const DepthwiseCall& call) {
      observer.depthwise({index, &weights, &call});
    };
  return seen;
}

void run_layer(ProductLayer& layer, const OpRun& run, LayerWorkspaces& workspaces, const ExecutorObserver& observer,
               std::size_t index) {
  if (!layer.conv) return run_dense(layer, run, workspaces.threads[0].scratch, observer.product, index);
  const ConvObserver seen = conv_observer(observer, index);
  float* y = run.outputs[0]->as<float>().data();
  run_conv({*layer.conv, layer.groups, scaling_of(layer), run.inputs[0]->as<float>().data(),
            layer.has_bias && !layer.fixed ? run.inputs[2]->as<float>().data() : nullptr, y, run.threads, seen},
           workspaces);
  if (layer.fixed)
    requantize_results(*layer.fixed, layer.conv->shape.batch, layer.conv->shape.window.positions(), y, run.threads);
}

}  // namespace qb
