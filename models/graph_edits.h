// Small edits of a model's graph: who reads what, and constants with one value per channel.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/graph.h"

namespace qb {

/// Who reads each value: the only reading node, or nothing when there are several, or the graph gives the value out.
std::map<std::string, std::optional<std::size_t>> sole_readers(const Graph& graph);

/// The node that makes a value; nothing for inputs of the graph and constants.
std::optional<std::size_t> maker_of(const Graph& graph, const std::string& value);

bool is_float(DType type);

/// The constant float tensor of n elements that a node reads at `input`, as float64. Its axis before the last
/// `axes_after` ones is n long: 0 for the bias of a dense layer, 2 for what is added to planes.
std::optional<std::vector<double>> constant_vector(const Model& model, const Node& node, std::size_t input,
                                                   std::int64_t n, std::int64_t axes_after = 0);

/// Gives a node's input a constant of its own, float32 with the shape of the one that it replaces; `name` where that is
/// free.
void replace_constant(Model& model, std::size_t node, std::size_t input, std::span<const double> values,
                      std::string name);

/// `name`, with as many ' appended as it takes until no weight, value or node is called so.
std::string fresh_name(const Model& model, std::string name);

/// Puts a node on input 0 of another, right before it: `op` reads what the other read, and the constant. Its names
/// begin with the other's. Indices of nodes from `node` on move by one.
void insert_on_input(Model& model, std::size_t node, const std::string& op,
                     std::map<std::string, Attribute, std::less<>> attributes, Tensor constant);

void drop_unread_weights(Model& model);

}  // namespace qb
