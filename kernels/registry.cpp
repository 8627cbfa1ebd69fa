#include "kernels/registry.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/error.h"
#include "kernels/base/text.h"

namespace qb {

namespace {

/// What a kernel is wanted for.
struct Wanted {
  Operation operation;
  Activations activations;
  const QuantFormat& format;
  std::int64_t k, rows;
};

bool computes(const KernelInfo& kernel, const Wanted& wanted) {
  return kernel.operation == wanted.operation && kernel.activations == wanted.activations &&
         kernel.accepts(wanted.format, wanted.k);
}

/// The last usable variant of the first family that accepts the layout and has more than its reference to offer; where
/// none has, the first reference. Null when no family accepts.
const KernelInfo* best_kernel(const Wanted& wanted, Isa isa) {
  const KernelInfo *best = nullptr, *reference = nullptr;
  for (const KernelInfo& kernel : kernels()) {
    if (!computes(kernel, wanted) || (best && kernel.family != best->family)) continue;
    const bool suits = wanted.rows >= kernel.min_rows && wanted.rows <= kernel.max_rows && includes(isa, kernel.needs);
    if (kernel.reference && !reference) reference = &kernel;
    if (suits && !kernel.reference && !kernel.peer && !kernel.by_name_only) best = &kernel;
  }
  return best ? best : reference;
}

}  // namespace

std::string_view name_of(Activations activations) {
  constexpr std::string_view kNames[] = {"f32", "bf16", "s8", "binary"};
  return kNames[std::size_t(activations)];
}

std::string_view name_of(Operation operation) { return operation == Operation::product ? "product" : "depthwise"; }

const KernelInfo* find_kernel(std::string_view name) {
  for (const KernelInfo& kernel : kernels())
    if (kernel.name == name) return &kernel;
  return nullptr;
}

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const KernelInfo& kernel : kernels()) names.emplace_back(kernel.name);
  return names;
}

const KernelInfo& reference_of(const KernelInfo& kernel) {
  const auto all = kernels();
  const auto found = std::find_if(all.begin(), all.end(), [&](const KernelInfo& candidate) {
    return candidate.reference && candidate.family == kernel.family;
  });
  QB_EXPECTS(found != all.end());
  return *found;
}

const KernelInfo* choose_kernel(std::string_view choice, Activations activations, const QuantFormat& format,
                                std::int64_t k, std::int64_t rows, Isa isa, Operation operation) {
  const Wanted wanted{operation, activations, format, k, rows};
  if (choice == "best") return best_kernel(wanted, isa);
  if (choice == "reference") {
    const KernelInfo* best = best_kernel(wanted, Isa::none);
    return best ? &reference_of(*best) : nullptr;
  }
  check_kernel_choice(choice);
  const KernelInfo& named = *find_kernel(choice);
  if (!includes(isa, named.needs))
    throw Unsupported(fmt::format("kernel '{}' needs {}, but {} is what may be used here", choice, to_text(named.needs),
                                  to_text(isa)));
  if (computes(named, wanted)) return &named;
  return best_kernel(wanted, named.peer ? isa : named.needs);
}

void check_kernel_choice(std::string_view choice) {
  std::vector<std::string> known = kernel_names();
  known.insert(known.end(), {"best", "reference"});
  if (std::find(known.begin(), known.end(), choice) == known.end())
    throw InputError(fmt::format("kernel '{}' is not known{}", choice, suggestion(choice, known)));
}

}  // namespace qb
