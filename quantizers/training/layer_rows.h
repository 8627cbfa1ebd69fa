// Rows of the table in layers.cpp, one per file.
#pragma once
#include "quantizers/training/layers.h"

namespace qb {

/// Conv of images [rows, c, h, w] with filters [n, c, kh, kw] and an optional bias [n]; any strides and pads, no
/// groups, no dilations. Source of the lowering to a product: Chellapilla et al. 2006.
TrainingOp conv_training_op();

/// Gemm with transB = 1: y = x * w' + bias; x [rows, k], w [n, k], bias [n] optional.
TrainingOp gemm_training_op();

/// MaxPool without pads; the gradient goes to the first largest element of each window.
TrainingOp max_pool_training_op();

}  // namespace qb
