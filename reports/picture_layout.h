// Where ticks and labels of a picture stand. Knows numbers and boxes, no SVG.
#pragma once
#include <span>
#include <string>
#include <vector>

namespace qb {

struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;  ///< pixels, y downward
};

/// A stretch of a logarithmic axis, as powers of ten.
struct Scale {
  double low = 0, high = 1;
  double share(double value) const;  ///< 0 at low, 1 at high; value > 0
};
/// Covers `values`, all above 0, with some room to spare; at least `least` decades wide.
Scale scale_over(std::span<const double> values, double least);

/// Round values within the scale: 1, 2, 3 and 5 times powers of ten, or multiples of a round step where that gives too
/// few.
std::vector<double> ticks(const Scale& scale);

/// A point with its whiskers, in pixels.
struct Mark {
  double x = 0, y = 0;
  Box whiskers;  ///< ends of the horizontal and the vertical one; of no size where there is none
  double label_width = 0;
};
struct LabelPlace {
  Box box;
  bool led = false;  ///< far enough from its mark that a line should lead to it
};
/// One place per mark, inside the frame, greedily chosen and then improved: labels avoid one another and marks strictly
/// where they can, whiskers where it costs little. Deterministic.
std::vector<LabelPlace> place_labels(std::span<const Mark> marks, const Box& frame, double label_height);

}  // namespace qb
