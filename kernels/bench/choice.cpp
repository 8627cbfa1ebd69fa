#include "kernels/bench/choice.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/error.h"

namespace qb {

bool applies(const KernelInfo& kernel, const QuantFormat& format, std::int64_t k, Operation operation) {
  if (kernel.operation != operation || !kernel.accepts(format, k)) return false;
  const CodeKind own = kernel.activations == Activations::bf16 ? CodeKind::bf16 : CodeKind::f32;
  if (kernel.accepts(QuantFormat{}, k) && format.kind != own) return false;
  const KernelInfo* chosen = choose_kernel("reference", kernel.activations, format, k, 1, host_isa(), operation);
  return chosen != nullptr && chosen->family == kernel.family;
}

bool applies(const KernelInfo& kernel, const ProductFormat& format, std::int64_t k) {
  return applies(kernel, format.weights, k) &&
         (format.activation_group == 0 || takes_activation_group(kernel, format.weights, format.activation_group));
}

bool is_wanted(const KernelInfo& kernel, const std::vector<std::string>& wanted, const QuantFormat& format,
               std::int64_t k, std::int64_t rows) {
  if (std::ranges::find(wanted, kernel.name) != wanted.end()) return true;
  if (kernel.by_name_only) return false;
  const auto word = [&](std::string_view one) { return std::ranges::find(wanted, one) != wanted.end(); };
  if (word("all")) return true;
  if (kernel.peer) return word("peers");
  if (kernel.reference && word("reference")) return true;
  if (!word("best")) return false;
  return choose_kernel("best", kernel.activations, format, k, rows, host_isa(), kernel.operation) == &kernel;
}

std::vector<PreparedMatrix> prepare_wanted(Operation operation, const PackedMatrix& weights,
                                           const std::function<bool(const KernelInfo&)>& wanted,
                                           std::vector<std::string>& missing) {
  std::vector<PreparedMatrix> prepared;
  const std::string format = to_text(weights.format);
  for (const KernelInfo& kernel : kernels()) {
    if (!applies(kernel, weights.format, weights.k, operation) || !wanted(kernel)) continue;
    if (!includes(host_isa(), kernel.needs)) {
      missing.push_back(fmt::format("{} on {}: needs {}", kernel.name, format, to_text(kernel.needs)));
      continue;
    }
    try {
      prepared.push_back(prepare(kernel, weights));
    } catch (const Unsupported& error) {
      missing.push_back(fmt::format("{} on {}: {}", kernel.name, format, error.what()));
    }
  }
  return prepared;
}

}  // namespace qb
