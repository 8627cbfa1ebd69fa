// Elementwise functions of two broadcast operands: the loop over outer positions, with the inner loop left to the
// caller.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/base/tensor.h"

namespace qb {

/// How to walk operands that are broadcast to one result: neighbouring axes that move alike are merged, the innermost
/// axis is a plain loop with steps of 0 or 1.
struct BroadcastWalk {
  static constexpr int kOperands = 3;
  std::int64_t inner = 1;              ///< elements of the innermost axis
  std::int64_t inner_step[kOperands];  ///< 0 or 1 per operand
  std::vector<std::int64_t> extents;   ///< of the outer axes, outermost first
  std::vector<std::int64_t> steps[kOperands];
  std::int64_t count = 1;  ///< outer positions
};

/// Operands that are not used repeat the last shape. `result` is the broadcast of all of them.
inline BroadcastWalk plan_walk(const Shape& result, const std::vector<Shape>& operands) {
  BroadcastWalk walk;
  std::vector<std::int64_t> extents;
  std::vector<std::int64_t> steps[BroadcastWalk::kOperands];
  std::int64_t running[BroadcastWalk::kOperands] = {1, 1, 1};
  const auto shape_of = [&](int operand) -> const Shape& {
    return operands[std::min<std::size_t>(std::size_t(operand), operands.size() - 1)];
  };
  for (std::size_t back = 1; back <= result.size(); ++back) {
    const std::int64_t extent = result[result.size() - back];
    if (extent == 1) continue;
    std::int64_t step[BroadcastWalk::kOperands];
    bool merges = !extents.empty();
    for (int operand = 0; operand < BroadcastWalk::kOperands; ++operand) {
      const Shape& shape = shape_of(operand);
      const std::int64_t own = back <= shape.size() ? shape[shape.size() - back] : 1;
      step[operand] = own == 1 ? 0 : running[operand];
      running[operand] *= own;
      if (merges) merges = step[operand] == steps[operand].back() * extents.back();
    }
    if (merges) {
      extents.back() *= extent;
      continue;
    }
    extents.push_back(extent);
    for (int operand = 0; operand < BroadcastWalk::kOperands; ++operand) steps[operand].push_back(step[operand]);
  }
  for (int operand = 0; operand < BroadcastWalk::kOperands; ++operand)
    walk.inner_step[operand] = extents.empty() ? 0 : steps[operand][0];
  if (!extents.empty()) walk.inner = extents[0];
  for (std::size_t i = extents.size(); i-- > 1;) {
    walk.extents.push_back(extents[i]);
    walk.count *= extents[i];
    for (int operand = 0; operand < BroadcastWalk::kOperands; ++operand)
      walk.steps[operand].push_back(steps[operand][i]);
  }
  return walk;
}

/// Calls body(result offset, operand offsets) for each outer position in order.
template <class Body>
void for_each_outer(const BroadcastWalk& walk, Body body) {
  constexpr std::size_t kDeepest = 32;
  QB_EXPECTS(walk.extents.size() <= kDeepest);
  std::int64_t index[kDeepest] = {};
  std::int64_t offset[BroadcastWalk::kOperands] = {};
  for (std::int64_t position = 0; position < walk.count; ++position) {
    body(position * walk.inner, offset);
    for (std::size_t axis = walk.extents.size(); axis-- > 0;) {
      for (int operand = 0; operand < BroadcastWalk::kOperands; ++operand) offset[operand] += walk.steps[operand][axis];
      if (++index[axis] < walk.extents[axis]) break;
      for (int operand = 0; operand < BroadcastWalk::kOperands; ++operand)
        offset[operand] -= walk.steps[operand][axis] * walk.extents[axis];
      index[axis] = 0;
    }
  }
}

}  // namespace qb
