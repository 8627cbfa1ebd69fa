// The networks of the zoo, with zero weights.
#pragma once
#include "quantizers/training/zoo.h"

namespace qb {

Network glyphs_mlp_network();   ///< 400 pixels, 128 and 64 hidden, 47 classes
Network glyphs_cnn_network();   ///< three convolutions with two poolings, one dense layer
Network grammar_mlp_network();  ///< 64 inputs (four one-hot tokens), 128 and 64 hidden, 16 tokens

}  // namespace qb
