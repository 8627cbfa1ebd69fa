// What remains of a file's tensors once the graph is known. Internal to models/import.
#pragma once
#include "models/graph.h"

namespace qb {

/// Leaves out what no node reads, and widens half and double weights: networks are computed in float32.
void keep_used_weights(Model& model);

}  // namespace qb
