// Tensors as ONNX files hold them. Internal to models/import.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kernels/base/tensor.h"

namespace qb::onnx_wire {
class TensorProto;
}

namespace qb {

inline constexpr std::int64_t kOnnxUint4 = 21, kOnnxInt4 = 22;  ///< TensorProto.DataType

/// The element type that holds values of an ONNX data type: int4 and int2 lie in i8, uint4 and uint2 in u8.
/// Nothing for types that are not read (text, complex, 8- and 4-bit floats).
std::optional<DType> dtype_of_onnx(std::int64_t data_type);
std::string onnx_type_name(std::int64_t data_type);  ///< "float16"; "data type 99" for numbers nobody knows

/// Throws DataError, beginning with `where`, for external data, unknown types, and sizes that do not agree.
Tensor tensor_from_wire(const onnx_wire::TensorProto& wire, std::string_view where);

}  // namespace qb
