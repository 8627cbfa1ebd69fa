// One weighted node of an executor: its kernel, its prepared weights, and how its product is carried out.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/convolution/convolution.h"
#include "models/broadcast.h"
#include "models/executor.h"
#include "models/fixed_result.h"
#include "models/window.h"

namespace qb {

/// A Conv, Gemm or MatMul with constant weights. Built by prepare_layer().
struct ProductLayer {
  ExecutorLayer info;
  std::unique_ptr<PackedMatrix> own;   ///< float weights, packed here; null when the model's weight is packed
  std::vector<PreparedMatrix> groups;  ///< one per convolution group; one in all for depthwise
  std::optional<ActivationQuant> activation;
  std::optional<FixedResult> fixed;  ///< takes the place of the bias
  OpOutput output;
  bool has_bias = false;

  std::optional<ConvPlan> conv;  ///< Conv only

  std::int64_t rows = 0;    ///< Gemm and MatMul only: rows of a
  BroadcastWalk bias_walk;  ///< Gemm only: over [rows, n] and the shape of c
  float beta = 1.0f;

  std::int64_t prepared_bytes() const;
};

/// Chooses the kernel, checks shapes and prepares the weights of a node. Inputs of the site are x, weights, bias; the
/// weights are given but have no shape when packed. Throws Unsupported and DataError as Executor does.
ProductLayer prepare_layer(const Model& model, const MatrixWeight& use, const OpSite& site,
                           const ExecutorOptions& options);

/// The second half of it, for a layer whose shapes, activations and packed weights are set: chooses the kernel, plans
/// the convolution and prepares the weights.
void complete_layer(ProductLayer& layer, const ExecutorOptions& options);

/// Shows the calls of a convolution as those of layer `index`. `observer` must outlive it.
ConvObserver conv_observer(const ExecutorObserver& observer, std::size_t index);

/// Makes the workspaces large enough for a layer on `threads` threads.
void reserve_workspaces(const ProductLayer& layer, int threads, LayerWorkspaces& workspaces);

/// Carries the product out. The observer's `product` and `depthwise`, where given, see every kernel call on the
/// caller's thread, in order.
void run_layer(ProductLayer& layer, const OpRun& run, LayerWorkspaces& workspaces, const ExecutorObserver& observer,
               std::size_t index);

}  // namespace qb
