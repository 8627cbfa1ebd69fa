// The comparison of a run as a picture.
#pragma once
#include <string>

#include "reports/record/run_record.h"

namespace qb {

/// Accuracy against latency as one self-contained SVG 1.1 document: a panel per model, hardware, batch, thread count
/// and machine, a mark per quantizer with its 95 % intervals as whiskers. Units with the reference kernels are left
/// out; units without numbers are counted below their panel, or at the top. Equal runs give equal bytes.
std::string svg_picture(const RunRecord& run);

}  // namespace qb
