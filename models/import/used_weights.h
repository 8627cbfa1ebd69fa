// What remains of a file's tensors once the graph is known. Internal to models/import.
#pragma once
#include "models/graph.h"

namespace qb {

/// Networks are computed in float32: half and double values widen or round to it, all others stay.
Tensor as_computed(Tensor tensor);

/// Leaves out what no node reads; the rest as_computed().
void keep_used_weights(Model& model);

}  // namespace qb
