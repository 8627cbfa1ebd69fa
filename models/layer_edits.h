// Changes to layers that leave what the model computes alone, up to rounding, or shift it as asked.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "models/weight_matrix.h"

namespace qb {

/// The bias of a Conv or Gemm, zeros where it has none; nothing where it is no constant with one value per row.
std::optional<std::vector<double>> bias_of(const Model& model, const Node& node, std::int64_t n);

/// Adds shift [n] to the results of a layer, by row of its weights: in the bias of a Conv or Gemm, which gets one where
/// it has none, or in the constant that the only reader of a MatMul adds. Others keep what they had. Returns false, and
/// changes nothing, where there is no such place.
bool shift_results(Model& model, const MatrixWeight& layer, std::span<const double> shift);

/// Folds every BatchNormalization (inference form) that follows a Conv or Gemm whose output nobody else reads into that
/// node's weight and bias: w' = w * gamma / sqrt(var + eps), b' = beta + (b - mean) * gamma / sqrt(var + eps).
/// Source: Jacob et al. 2018 (arXiv:1712.05877), section 3.2. Returns how many were folded.
int fold_batch_norm(Model& model);

}  // namespace qb
