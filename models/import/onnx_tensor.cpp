#include "models/import/onnx_tensor.h"

#include <fmt/format.h>

#include <cstring>

#include "models/element_types.h"
#include "models/import.h"
#include "models/import/file_shape.h"
#include "models/import/onnx.pb.h"

namespace qb {

namespace {

using onnx_wire::TensorProto;

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

Tensor from_raw(const std::string& raw, const OnnxType& row, Shape shape, std::string_view where) {
  const auto count = std::uint64_t(element_count(shape, where));
  const std::uint64_t wanted = (count * std::uint64_t(row.bits) + 7) / 8;
  if (raw.size() != wanted) fail_size(where, shape, row.name, wanted, raw.size(), "bytes");
  Tensor tensor(*row.held, std::move(shape));
  if (row.bits < 8) {
    unpack_small(raw, row.bits, *row.held == DType::i4 || *row.held == DType::i2, tensor);
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
Tensor from_values(const Values& values, const OnnxType& row, Shape shape, std::string_view where) {
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

Tensor tensor_from_wire(const TensorProto& wire, std::string_view where) {
  if (wire.data_location() != 0)
    throw DataError(fmt::format("{}: the values lie in another file; save the model with its weights inside", where));
  const OnnxType* row = find_onnx_type(wire.data_type());
  if (!row || !row->held)
    throw DataError(
        fmt::format("{}: holds {}, which is not read; real numbers are", where, onnx_type_name(wire.data_type())));
  Shape shape(wire.dims().begin(), wire.dims().end());
  check_file_shape(shape, where);
  if (wire.has_raw_data() && !wire.raw_data().empty()) return from_raw(wire.raw_data(), *row, std::move(shape), where);
  switch (*row->held) {  // Source: the comments of onnx.proto on the fields
    case DType::f32: return from_values(wire.float_data(), *row, std::move(shape), where);
    case DType::f64: return from_values(wire.double_data(), *row, std::move(shape), where);
    case DType::i64: return from_values(wire.int64_data(), *row, std::move(shape), where);
    case DType::u32:
    case DType::u64: return from_values(wire.uint64_data(), *row, std::move(shape), where);
    default: return from_values(wire.int32_data(), *row, std::move(shape), where);
  }
}

Tensor read_onnx_tensor(std::string_view bytes, std::string_view where) {
  TensorProto wire;
  constexpr std::size_t kMost = std::size_t(1) << 31;
  if (bytes.size() >= kMost || !wire.ParseFromArray(bytes.data(), int(bytes.size())))
    throw DataError(fmt::format("{}: not an ONNX tensor (a protobuf TensorProto), or cut short", where));
  return tensor_from_wire(wire, where);
}

}  // namespace qb
