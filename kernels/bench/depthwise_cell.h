// Depthwise convolutions as cells of the table.
#pragma once
#include <string>
#include <vector>

#include "kernels/bench/cell.h"
#include "kernels/bench/options.h"

namespace qb {

/// Measures the depthwise kernels that `options` asks for, and oneDNN's, on random weights of `format`, from float32
/// planes to float32 planes. Samples quantized by a fixed scale, where the kernel reads int8. Hot; the limit is the
/// arithmetic of the activations, or reading as many bytes as the planes of input and result have. Every kernel of ours
/// must give the bits of its reference. A sentence is added to `missing` for a kernel that refuses.
std::vector<TableRow> measure_depthwise(const Bench& bench, const Options& options, const QuantFormat& format,
                                        const LayerShape& shape, std::vector<std::string>& missing);

}  // namespace qb
