// Tensors as ONNX files hold them. Internal to models/import.
#pragma once
#include <string_view>

#include "kernels/base/tensor.h"

namespace qb::onnx_wire {
class TensorProto;
}

namespace qb {

/// Throws DataError, beginning with `where`, for external data, unknown types, and sizes that do not agree.
Tensor tensor_from_wire(const onnx_wire::TensorProto& wire, std::string_view where);

}  // namespace qb
