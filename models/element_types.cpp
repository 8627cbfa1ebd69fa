#include "models/element_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "kernels/base/small_floats.h"

namespace qb {

namespace {

constexpr std::array<OnnxType, 27> kTypes = {{
    {"undefined", {}, 0},
    {"float", DType::f32, 32},
    {"uint8", DType::u8, 8},
    {"int8", DType::i8, 8},
    {"uint16", DType::u16, 16},
    {"int16", DType::i16, 16},
    {"int32", DType::i32, 32},
    {"int64", DType::i64, 64},
    {"string", {}, 0},
    {"bool", DType::boolean, 8},
    {"float16", DType::f16, 16},
    {"double", DType::f64, 64},
    {"uint32", DType::u32, 32},
    {"uint64", DType::u64, 64},
    {"complex64", {}, 64},
    {"complex128", {}, 128},
    {"bfloat16", DType::bf16, 16},
    {"float8e4m3fn", DType::e4m3fn, 8},
    {"float8e4m3fnuz", DType::e4m3fnuz, 8},
    {"float8e5m2", DType::e5m2, 8},
    {"float8e5m2fnuz", DType::e5m2fnuz, 8},
    {"uint4", DType::u4, 4},
    {"int4", DType::i4, 4},
    {"float4e2m1", DType::e2m1fn, 4},
    {"float8e8m0", DType::e8m0fnu, 8},
    {"uint2", DType::u2, 2},
    {"int2", DType::i2, 2},
}};

/// `to` from elements that lie as T.
template <class T, class To, class Convert>
void read_as(const Tensor& from, std::int64_t begin, std::span<To> to, Convert convert) {
  const T* elements = from.bytes.as<T>() + begin;
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = convert(elements[i]);
}

template <class T, class To>
void read_numbers(const Tensor& from, std::int64_t begin, std::span<To> to) {
  read_as<T>(from, begin, to, [](T element) { return static_cast<To>(element); });
}

template <class To>
void read_integers(const Tensor& from, std::int64_t begin, std::span<To> to) {
  switch (from.dtype) {
    case DType::i2:
    case DType::i4:
    case DType::i8: return read_numbers<std::int8_t>(from, begin, to);
    case DType::u2:
    case DType::u4:
    case DType::u8:
    case DType::boolean: return read_numbers<std::uint8_t>(from, begin, to);
    case DType::i16: return read_numbers<std::int16_t>(from, begin, to);
    case DType::u16: return read_numbers<std::uint16_t>(from, begin, to);
    case DType::i32: return read_numbers<std::int32_t>(from, begin, to);
    case DType::u32: return read_numbers<std::uint32_t>(from, begin, to);
    case DType::i64: return read_numbers<std::int64_t>(from, begin, to);
    case DType::u64: return read_numbers<std::uint64_t>(from, begin, to);
    default: QB_EXPECTS(!"an integer type");
  }
}

}  // namespace

const OnnxType* find_onnx_type(std::int64_t number) {
  return number > 0 && number < std::ssize(kTypes) ? &kTypes[std::size_t(number)] : nullptr;
}

std::optional<DType> dtype_of_onnx(std::int64_t number) {
  const OnnxType* type = find_onnx_type(number);
  return type ? type->held : std::nullopt;
}

std::int64_t onnx_number_of(DType type) {
  return std::find_if(kTypes.begin(), kTypes.end(), [type](const OnnxType& row) { return row.held == type; }) -
         kTypes.begin();
}

std::string onnx_type_name(std::int64_t number) {
  const OnnxType* type = find_onnx_type(number);
  return type ? std::string(type->name) : fmt::format("data type {}", number);
}

std::optional<IntegerRange> integer_range(DType type) {
  const auto range = []<class T>(T) {
    return IntegerRange{std::numeric_limits<T>::min(), std::numeric_limits<T>::max()};
  };
  switch (type) {
    case DType::i2: return IntegerRange{-2, 1};
    case DType::u2: return IntegerRange{0, 3};
    case DType::i4: return IntegerRange{-8, 7};
    case DType::u4: return IntegerRange{0, 15};
    case DType::i8: return range(std::int8_t{});
    case DType::u8: return range(std::uint8_t{});
    case DType::i16: return range(std::int16_t{});
    case DType::u16: return range(std::uint16_t{});
    case DType::i32: return range(std::int32_t{});
    case DType::u32: return range(std::uint32_t{});
    default: return std::nullopt;
  }
}

void read_elements(const Tensor& from, std::int64_t begin, std::span<double> to) {
  if (const FloatFormat* format = float_format_of(from.dtype)) {
    const auto value = [format](std::uint16_t code) { return double(decode(*format, code)); };
    if (bytes_of(from.dtype) == 1) return read_as<std::uint8_t>(from, begin, to, value);
    return read_as<std::uint16_t>(from, begin, to, value);
  }
  if (from.dtype == DType::f32) return read_numbers<float>(from, begin, to);
  if (from.dtype == DType::f64) return read_numbers<double>(from, begin, to);
  read_integers(from, begin, to);
}

void read_elements(const Tensor& from, std::int64_t begin, std::span<std::int64_t> to) {
  read_integers(from, begin, to);
}

}  // namespace qb
