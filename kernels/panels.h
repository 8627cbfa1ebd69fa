// How matrix products want weights to lie: columns of the result side by side, so that one vector holds many of them.
#pragma once
#include <algorithm>
#include <cstdint>

namespace qb {

/// Panels of w [n, k], w[j] making column j of the result: [panel][k / quad][width][quad], one after another.
///
/// A panel has `columns` columns; the last is as narrow as whole vectors allow. k is padded to whole quads and columns
/// to whole vectors; who fills the panels leaves zeros there. Shape {1, 1, 1} is plain [n, k].
struct PanelShape {
  std::int64_t columns;  ///< a multiple of vector
  std::int64_t vector;   ///< columns that one register holds
  std::int64_t quad;     ///< values along k that lie together
};

constexpr std::int64_t round_up(std::int64_t value, std::int64_t step) { return (value + step - 1) / step * step; }

/// Elements that the panels of w [n, k] take.
constexpr std::int64_t panel_elements(const PanelShape& shape, std::int64_t n, std::int64_t k) {
  return round_up(n, shape.vector) * round_up(k, shape.quad);
}

/// Writes row j of w, `row` [k], into its place.
template <class T>
void fill_panel_column(const PanelShape& shape, std::int64_t n, std::int64_t k, std::int64_t j, const T* row,
                       T* panels) {
  const std::int64_t first = j / shape.columns * shape.columns;
  const std::int64_t width = std::min(shape.columns, round_up(n - first, shape.vector));
  T* out = panels + first * round_up(k, shape.quad) + (j - first) * shape.quad;
  for (std::int64_t t = 0; t < k; ++t) out[t / shape.quad * width * shape.quad + t % shape.quad] = row[t];
}

}  // namespace qb
