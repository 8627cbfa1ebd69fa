// Strided rows for a library that wants them dense.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace qb {

/// Rows of `width` elements without gaps: the rows themselves where they have none (or where there is but one), else a
/// copy in `room`.
template <class T>
const T* dense_rows(const T* rows, std::int64_t count, std::int64_t width, std::int64_t stride, std::vector<T>& room) {
  if (stride == width || count == 1) return rows;
  room.resize(std::size_t(count * width));
  for (std::int64_t i = 0; i < count; ++i) std::copy_n(rows + i * stride, width, room.data() + i * width);
  return room.data();
}

/// A place for `count` dense rows of results: the rows themselves where they have no gaps, else `room`.
template <class T>
T* dense_results(T* rows, std::int64_t count, std::int64_t width, std::int64_t stride, std::vector<T>& room) {
  if (stride == width || count == 1) return rows;
  room.resize(std::size_t(count * width));
  return room.data();
}

}  // namespace qb
