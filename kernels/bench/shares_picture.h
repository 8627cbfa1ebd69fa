// The shares of the goals' limits as a picture.
#pragma once
#include <string>
#include <vector>

#include "kernels/bench/goals.h"

namespace qb {

/// Per goal its name, and per format and shape a bar for each number of threads: the share of the limit, the wanted
/// share as a mark. Judgements without a row are left out. SVG, ends with a line feed.
std::string shares_picture(const std::vector<GoalResult>& judged);

}  // namespace qb
