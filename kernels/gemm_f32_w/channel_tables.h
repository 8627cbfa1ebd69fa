// Weights with one table of levels for each column, as weight_panels.h has them.
#pragma once
#include "kernels/gemm_f32_w/prepare.h"

namespace qb {

bool has_channel_tables(const QuantFormat& format);
Buffer make_channel_tables(const PackedMatrix& weights, const PanelForm& form);

float rounded_level(float level, LevelRounding rounding);

}  // namespace qb
