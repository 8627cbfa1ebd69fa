// Constant nodes, whose value moves to the model's weights. Internal to models/import.
#pragma once
#include <string_view>

#include "models/graph.h"

namespace qb {

/// The value of a Constant node, in any of its forms that hold numbers. Throws DataError beginning with `where`.
Tensor constant_value(const Node& node, std::string_view where);

/// Turns the Constant nodes of a graph into weights of the model.
void take_constants(Model& model, std::string_view where);

}  // namespace qb
