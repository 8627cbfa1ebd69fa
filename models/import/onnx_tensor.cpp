#include "models/import/onnx_tensor.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "models/import.h"
#include "models/import/file_shape.h"
#include "models/import/onnx.pb.h"

namespace qb {

namespace {

using onnx_wire::TensorProto;

/// Which typed field carries the values when raw_data does not.
enum class Field { none, floats, int32s, int64s, doubles, uint64s };

struct TypeRow {
  std::string_view name;
  std::optional<DType> held;
  int bits;  ///< of one value in raw_data
  Field field;
};

/// Indexed by TensorProto.DataType. Source: ONNX IR specification, and the comments of onnx.proto on int32_data.
constexpr std::array<TypeRow, 27> kTypes = {{
    {"undefined", {}, 0, Field::none},
    {"float", DType::f32, 32, Field::floats},
    {"uint8", DType::u8, 8, Field::int32s},
    {"int8", DType::i8, 8, Field::int32s},
    {"uint16", DType::u16, 16, Field::int32s},
    {"int16", DType::i16, 16, Field::int32s},
    {"int32", DType::i32, 32, Field::int32s},
    {"int64", DType::i64, 64, Field::int64s},
    {"string", {}, 0, Field::none},
    {"bool", DType::boolean, 8, Field::int32s},
    {"float16", DType::f16, 16, Field::int32s},
    {"double", DType::f64, 64, Field::doubles},
    {"uint32", DType::u32, 32, Field::uint64s},
    {"uint64", DType::u64, 64, Field::uint64s},
    {"complex64", {}, 64, Field::none},
    {"complex128", {}, 128, Field::none},
    {"bfloat16", DType::bf16, 16, Field::int32s},
    {"float8e4m3fn", {}, 8, Field::none},
    {"float8e4m3fnuz", {}, 8, Field::none},
    {"float8e5m2", {}, 8, Field::none},
    {"float8e5m2fnuz", {}, 8, Field::none},
    {"uint4", DType::u8, 4, Field::int32s},
    {"int4", DType::i8, 4, Field::int32s},
    {"float4e2m1", {}, 4, Field::none},
    {"float8e8m0", {}, 8, Field::none},
    {"uint2", DType::u8, 2, Field::int32s},
    {"int2", DType::i8, 2, Field::int32s},
}};

const TypeRow* row_of(std::int64_t data_type) {
  return data_type > 0 && data_type < std::ssize(kTypes) ? &kTypes[std::size_t(data_type)] : nullptr;
}

/// Values below 8 bits: the first one lies in the lowest bits of a byte.
void unpack_small(std::string_view packed, int bits, bool with_sign, Tensor& tensor) {
  const auto target = reinterpret_cast<std::uint8_t*>(tensor.bytes.data());
  const int per_byte = 8 / bits, sign = 1 << (bits - 1), mask = (1 << bits) - 1;
  for (std::size_t i = 0; i < tensor.bytes.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(packed[i / std::size_t(per_byte)]);
    const int code = (byte >> (int(i % std::size_t(per_byte)) * bits)) & mask;
    target[i] = static_cast<std::uint8_t>(with_sign ? (code ^ sign) - sign : code);
  }
}

[[noreturn]] void fail_size(std::string_view where, const Shape& shape, std::string_view type, std::uint64_t wanted,
                            std::uint64_t found, std::string_view unit) {
  throw DataError(fmt::format("{}: {} values of shape {} need {} {}, the file holds {}", where, type, to_text(shape),
                              wanted, unit, found));
}

Tensor from_raw(const std::string& raw, const TypeRow& row, Shape shape, std::string_view where) {
  const auto count = std::uint64_t(element_count(shape, where));
  const std::uint64_t wanted = (count * std::uint64_t(row.bits) + 7) / 8;
  if (raw.size() != wanted) fail_size(where, shape, row.name, wanted, raw.size(), "bytes");
  Tensor tensor(*row.held, std::move(shape));
  if (row.bits < 8) {
    unpack_small(raw, row.bits, *row.held == DType::i8, tensor);
  } else if (!raw.empty()) {
    std::memcpy(tensor.bytes.data(), raw.data(), raw.size());
  }
  if (*row.held == DType::boolean)
    for (std::byte& value : std::span(tensor.bytes.data(), tensor.bytes.size()))
      value = std::byte(value != std::byte{});
  return tensor;
}

/// Copies the low bytes of each value, which is how ONNX stores narrow types in wide fields.
template <class Values>
Tensor from_values(const Values& values, const TypeRow& row, Shape shape, std::string_view where) {
  const auto count = std::uint64_t(element_count(shape, where));
  const std::uint64_t wanted = row.bits < 8 ? (count * std::uint64_t(row.bits) + 7) / 8 : count;
  if (std::uint64_t(values.size()) != wanted)
    fail_size(where, shape, row.name, wanted, std::uint64_t(values.size()), "values");
  std::string raw;
  const std::size_t each = row.bits < 8 ? 1 : std::size_t(row.bits) / 8;
  raw.reserve(std::size_t(wanted) * each);
  for (const auto value : values) {
    char bytes[sizeof(value)];
    std::memcpy(bytes, &value, sizeof(value));
    raw.append(bytes, each);
  }
  return from_raw(raw, row, std::move(shape), where);
}

}  // namespace

std::optional<DType> dtype_of_onnx(std::int64_t data_type) {
  const TypeRow* row = row_of(data_type);
  return row ? row->held : std::nullopt;
}

std::string onnx_type_name(std::int64_t data_type) {
  const TypeRow* row = row_of(data_type);
  return row ? std::string(row->name) : fmt::format("data type {}", data_type);
}

Tensor tensor_from_wire(const TensorProto& wire, std::string_view where) {
  if (wire.data_location() != 0)
    throw DataError(fmt::format("{}: the values lie in another file; save the model with its weights inside", where));
  const TypeRow* row = row_of(wire.data_type());
  if (!row || !row->held)
    throw DataError(
        fmt::format("{}: holds {}, which is not read; numbers of 2 to 64 bits other than 8-bit and 4-bit floats are",
                    where, onnx_type_name(wire.data_type())));
  Shape shape(wire.dims().begin(), wire.dims().end());
  check_file_shape(shape, where);
  if (wire.has_raw_data() && !wire.raw_data().empty()) return from_raw(wire.raw_data(), *row, std::move(shape), where);
  switch (row->field) {
    case Field::floats: return from_values(wire.float_data(), *row, std::move(shape), where);
    case Field::int32s: return from_values(wire.int32_data(), *row, std::move(shape), where);
    case Field::int64s: return from_values(wire.int64_data(), *row, std::move(shape), where);
    case Field::doubles: return from_values(wire.double_data(), *row, std::move(shape), where);
    case Field::uint64s: return from_values(wire.uint64_data(), *row, std::move(shape), where);
    case Field::none: break;
  }
  throw DataError(fmt::format("{}: holds no values", where));
}

Tensor read_onnx_tensor(std::string_view bytes, std::string_view where) {
  TensorProto wire;
  constexpr std::size_t kMost = std::size_t(1) << 31;
  if (bytes.size() >= kMost || !wire.ParseFromArray(bytes.data(), int(bytes.size())))
    throw DataError(fmt::format("{}: not an ONNX tensor (a protobuf TensorProto), or cut short", where));
  return tensor_from_wire(wire, where);
}

}  // namespace qb
