// Dense arrays: a type, a shape, bytes.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/buffer.h"
#include "kernels/base/error.h"

namespace qb {

struct FloatFormat;

/// Elements of fewer than 8 bits take a byte each: i2 and i4 as int8, u2 and u4 as uint8, floats as codes of the format
/// of that name (small_floats.h).
enum class DType : std::uint8_t {
  f32,
  f64,
  f16,
  bf16,
  i8,
  u8,
  i16,
  u16,
  i32,
  u32,
  i64,
  u64,
  boolean,
  i2,
  u2,
  i4,
  u4,
  e4m3fn,
  e4m3fnuz,
  e5m2,
  e5m2fnuz,
  e2m1fn,
  e8m0fnu,
};
inline constexpr int kDTypes = 23;

std::size_t bytes_of(DType type);      ///< of one element
std::string_view name_of(DType type);  ///< "f32"
/// The format whose codes the elements are: of floats of at most 16 bits; null for all others.
const FloatFormat* float_format_of(DType type);
template <class T>
constexpr DType dtype_of();

using Shape = std::vector<std::int64_t>;
std::string to_text(const Shape& shape);  ///< "[2, 3]"

/// The number of elements: 1 for rank 0. Throws DataError, naming `what`, for a negative dimension or a product
/// that does not fit 2^40.
std::int64_t element_count(const Shape& shape, std::string_view what = "a tensor");

/// An owned row-major array, 64-byte aligned. Invariant: bytes.size() == element_count(shape) * bytes_of(dtype).
struct Tensor {
  DType dtype = DType::f32;
  Shape shape = {0};
  Buffer bytes;

  Tensor() = default;
  Tensor(DType type, Shape dimensions);  ///< zeroed

  std::int64_t size() const { return element_count(shape); }
  std::int64_t rank() const { return std::ssize(shape); }
  template <class T>
  std::span<T> as() {
    QB_EXPECTS(dtype == dtype_of<T>());
    return {bytes.as<T>(), bytes.size() / sizeof(T)};
  }
  template <class T>
  std::span<const T> as() const {
    QB_EXPECTS(dtype == dtype_of<T>());
    return {bytes.as<T>(), bytes.size() / sizeof(T)};
  }
};

Tensor tensor_of(Shape shape, std::span<const float> values);
Tensor tensor_of(Shape shape, std::span<const std::int64_t> values);

/// Any numeric tensor as float32 (float64 rounds to nearest even; integers convert).
Tensor to_f32(const Tensor& tensor);

/// A view of rows that need not be contiguous. Element (i, j) is data[i * stride + j].
template <class T>
struct MatrixView {
  T* data = nullptr;
  std::int64_t rows = 0, cols = 0, stride = 0;
  T* row(std::int64_t i) const { return data + i * stride; }
};

template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<std::int8_t>() {
  return DType::i8;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
  return DType::u8;
}
template <>
constexpr DType dtype_of<std::int16_t>() {
  return DType::i16;
}
template <>
constexpr DType dtype_of<std::uint16_t>() {
  return DType::u16;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<std::uint32_t>() {
  return DType::u32;
}
template <>
constexpr DType dtype_of<std::int64_t>() {
  return DType::i64;
}
template <>
constexpr DType dtype_of<std::uint64_t>() {
  return DType::u64;
}

}  // namespace qb
