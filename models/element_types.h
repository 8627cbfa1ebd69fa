// Element types as ONNX numbers them, and elements of any type as numbers.
// Source: ONNX TensorProto.DataType; the types below 8 bits since opsets 21 (4 bits), 23 (float4) and 25 (2 bits).
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kernels/base/tensor.h"

namespace qb {

/// One of TensorProto.DataType.
struct OnnxType {
  std::string_view name;
  std::optional<DType> held;  ///< nothing for types that are not read: text and complex numbers
  int bits;                   ///< of one value in a file
};

const OnnxType* find_onnx_type(std::int64_t number);      ///< null for numbers that nobody knows
std::optional<DType> dtype_of_onnx(std::int64_t number);  ///< nothing where unknown or not read
std::int64_t onnx_number_of(DType type);                  ///< the inverse
std::string onnx_type_name(std::int64_t number);          ///< "float16"; "data type 99" where unknown

/// The integers of a type as its least and greatest value; only for integers of at most 32 bits, signed or not.
struct IntegerRange {
  std::int64_t low = 0, high = 0;
};
std::optional<IntegerRange> integer_range(DType type);

/// Elements [begin, begin + to.size()) as binary64 (exact but for integers of 64 bits), or integers as integers (u64
/// wraps to int64).
void read_elements(const Tensor& from, std::int64_t begin, std::span<double> to);
void read_elements(const Tensor& from, std::int64_t begin, std::span<std::int64_t> to);  ///< not for floats

}  // namespace qb
