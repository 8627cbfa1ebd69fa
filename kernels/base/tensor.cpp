#include "kernels/base/tensor.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "kernels/base/small_floats.h"

namespace qb {

namespace {
struct TypeRow {
  std::string_view name;
  std::size_t bytes;
  const FloatFormat* format = nullptr;
};
constexpr std::array<TypeRow, kDTypes> kTypes = {{{"f32", 4},
                                                  {"f64", 8},
                                                  {"f16", 2, &kFloat16},
                                                  {"bf16", 2, &kBfloat16},
                                                  {"i8", 1},
                                                  {"u8", 1},
                                                  {"i16", 2},
                                                  {"u16", 2},
                                                  {"i32", 4},
                                                  {"u32", 4},
                                                  {"i64", 8},
                                                  {"u64", 8},
                                                  {"bool", 1},
                                                  {"i2", 1},
                                                  {"u2", 1},
                                                  {"i4", 1},
                                                  {"u4", 1},
                                                  {"e4m3fn", 1, &kE4M3FN},
                                                  {"e4m3fnuz", 1, &kE4M3FNUZ},
                                                  {"e5m2", 1, &kE5M2},
                                                  {"e5m2fnuz", 1, &kE5M2FNUZ},
                                                  {"e2m1fn", 1, &kE2M1FN},
                                                  {"e8m0fnu", 1, &kE8M0FNU}}};
}  // namespace

std::size_t bytes_of(DType type) { return kTypes[std::size_t(type)].bytes; }
std::string_view name_of(DType type) { return kTypes[std::size_t(type)].name; }
const FloatFormat* float_format_of(DType type) { return kTypes[std::size_t(type)].format; }
std::string to_text(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::int64_t element_count(const Shape& shape, std::string_view what) {
  constexpr std::int64_t kMost = std::int64_t(1) << 40;
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0)
      throw DataError(fmt::format("{} has the negative extent {} in its shape {}", what, extent, to_text(shape)));
    if (extent > 0 && count > kMost / extent)
      throw DataError(fmt::format("{} of shape {} has more than 2^40 elements", what, to_text(shape)));
    count *= extent;
  }
  return count;
}

Tensor::Tensor(DType type, Shape dimensions)
    : dtype(type), shape(std::move(dimensions)), bytes(std::size_t(element_count(shape)) * bytes_of(type)) {}

Tensor tensor_of(Shape shape, std::span<const float> values) {
  Tensor tensor(DType::f32, std::move(shape));
  QB_EXPECTS(std::size_t(tensor.size()) == values.size());
  if (!values.empty()) std::memcpy(tensor.bytes.data(), values.data(), values.size_bytes());
  return tensor;
}

Tensor tensor_of(Shape shape, std::span<const std::int64_t> values) {
  Tensor tensor(DType::i64, std::move(shape));
  QB_EXPECTS(std::size_t(tensor.size()) == values.size());
  if (!values.empty()) std::memcpy(tensor.bytes.data(), values.data(), values.size_bytes());
  return tensor;
}

namespace {

template <class T, class F>
void convert(const Tensor& from, Tensor& to, F value_of) {
  const T* source = from.bytes.as<T>();
  const std::span<float> target = to.as<float>();
  for (std::size_t i = 0; i < target.size(); ++i) target[i] = value_of(source[i]);
}

template <class T>
void convert_number(const Tensor& from, Tensor& to) {
  convert<T>(from, to, [](T value) { return static_cast<float>(value); });
}

}  // namespace

Tensor to_f32(const Tensor& tensor) {
  if (tensor.dtype == DType::f32) return tensor;
  Tensor result(DType::f32, tensor.shape);
  switch (tensor.dtype) {
    case DType::f16: convert<std::uint16_t>(tensor, result, f32_from_f16); break;
    case DType::bf16: convert<std::uint16_t>(tensor, result, f32_from_bf16); break;
    case DType::f64: convert_number<double>(tensor, result); break;
    case DType::i2:
    case DType::i4:
    case DType::i8: convert_number<std::int8_t>(tensor, result); break;
    case DType::u2:
    case DType::u4:
    case DType::u8:
    case DType::boolean: convert_number<std::uint8_t>(tensor, result); break;
    case DType::i16: convert_number<std::int16_t>(tensor, result); break;
    case DType::u16: convert_number<std::uint16_t>(tensor, result); break;
    case DType::i32: convert_number<std::int32_t>(tensor, result); break;
    case DType::u32: convert_number<std::uint32_t>(tensor, result); break;
    case DType::i64: convert_number<std::int64_t>(tensor, result); break;
    case DType::u64: convert_number<std::uint64_t>(tensor, result); break;
    case DType::e4m3fn:
    case DType::e4m3fnuz:
    case DType::e5m2:
    case DType::e5m2fnuz:
    case DType::e2m1fn:
    case DType::e8m0fnu:
      convert<std::uint8_t>(tensor, result, [format = float_format_of(tensor.dtype)](std::uint8_t code) {
        return decode(*format, code);
      });
      break;
    case DType::f32: break;
  }
  return result;
}

}  // namespace qb
