// Readers of model and tensor files. Every reader takes bytes and never trusts them: any fault is a DataError of one
// sentence that begins with `where`.
#pragma once
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "models/graph.h"

namespace qb {

using TensorMap = std::map<std::string, Tensor, std::less<>>;

/// ONNX ModelProto, opsets 7 to 25 of the default domain. A fixed leading extent of 1 of an input becomes the batch,
/// Reshape targets follow. Constants are folded: what dequantizes constant weights becomes float weights. Half and
/// double are computed in float32; casts to half round. An unknown operator is named with the nearest known one.
Model read_onnx(std::string_view bytes, std::string_view where);
Tensor read_onnx_tensor(std::string_view bytes, std::string_view where);  ///< one TensorProto (node test data)

/// Types F64, F32, F16, BF16, I8..I64, U8, BOOL. Refuses overlaps, holes, and headers above 16 MiB.
TensorMap read_safetensors(std::string_view bytes, std::string_view where);
std::string write_safetensors(const TensorMap& tensors);  ///< names sorted; equal tensors give equal bytes

Tensor read_npy(std::string_view bytes,
                std::string_view where);  ///< versions 1 to 3, little-endian, C or Fortran order
std::string write_npy(const Tensor& tensor);

Tensor read_idx(std::string_view bytes, std::string_view where);  ///< plain or gzip; unsigned byte and int types
std::string gunzip(std::string_view bytes, std::string_view where, std::uint64_t limit = std::uint64_t(1) << 32);

}  // namespace qb
