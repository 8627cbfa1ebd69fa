// Convolutions as cells of the table.
#pragma once
#include <string>
#include <vector>

#include "kernels/bench/cell.h"
#include "kernels/bench/options.h"

namespace qb {

/// Measures convolutions by the products that `options` asks for and by oneDNN, on random weights of `format`. Hot; the
/// limit is the arithmetic of the activations.
///
/// Work::convolution            float32 planes to float32 planes. With int8 activations the input is quantized once, by
///                              a fixed scale to codes from -128, as after a ReLU; oneDNN quantizes to the same codes.
///                              With bf16 weights the activations become bf16 too.
/// Work::convolution_of_codes   the same between codes that lie as each kernel wants them and results as pixels; int8
///                              activations only, so empty for other formats.
///
/// Results are compared with the family's reference on rows of the product that are gathered by the definition, for as
/// many positions as it can do in 2^26 multiply-adds. Empty, with a sentence added to `missing`, where nothing computes
/// the format.
std::vector<TableRow> measure_convolution(const Bench& bench, const Options& options, const QuantFormat& format,
                                          const LayerShape& shape, std::vector<std::string>& missing);

}  // namespace qb
