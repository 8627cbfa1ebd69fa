// Which kernels of the table a cell measures.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "kernels/bench/options.h"

namespace qb {

/// Whether `kernel` belongs to the family that is chosen for its activations and this format, and reads the format as
/// what it is: families that take float32 weights decode whatever they are given to float32 or bf16, so they are
/// measured on that format only. `k` as for choose_kernel().
bool applies(const KernelInfo& kernel, const QuantFormat& format, std::int64_t k,
             Operation operation = Operation::product);

/// Likewise for products; with a scale per group of activations only kernels that take it.
bool applies(const KernelInfo& kernel, const ProductFormat& format, std::int64_t k);

/// Whether a kernel that applies is asked for by one of the words of Options::kernels. `rows` as for choose_kernel().
bool is_wanted(const KernelInfo& kernel, const std::vector<std::string>& wanted, const QuantFormat& format,
               std::int64_t k, std::int64_t rows);

/// Weights in the layouts of all kernels that apply and of which `wanted` is true. Says in `missing` why one has none.
std::vector<PreparedMatrix> prepare_wanted(Operation operation, const PackedMatrix& weights,
                                           const std::function<bool(const KernelInfo&)>& wanted,
                                           std::vector<std::string>& missing);

/// Multiply-adds that a reference is timed on.
inline constexpr std::int64_t kReferenceProducts = std::int64_t(1) << 26;

}  // namespace qb
