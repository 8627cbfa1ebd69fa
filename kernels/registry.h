// The kernel table (kernel_table.inc): one row per variant. Tests, benchmarks, dispatch and reports iterate over it.
#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/cpu.h"
#include "kernels/depthwise_args.h"
#include "kernels/gemm_args.h"
#include "kernels/packed_matrix.h"

namespace qb {

/// What a kernel reads; gemm() makes it from float32 rows. binary: their signs, and one scale per row.
enum class Activations : std::uint8_t { f32, bf16, s8, binary };
std::string_view name_of(Activations activations);

/// What a kernel computes, hence which of its functions is set and who calls it: gemm() or depthwise().
enum class Operation : std::uint8_t { product, depthwise };
std::string_view name_of(Operation operation);

/// One variant. `name` is the function, the file stem and the word stored in run files: one grep finds the source.
struct KernelInfo {
  std::string_view name;
  std::string_view family;  ///< e.g. "gemm_s8_int": all variants of one definition
  Activations activations = Activations::f32;
  Operation operation = Operation::product;
  Isa needs = Isa::none;                                          ///< all of these, or the host may not call it
  bool (*accepts)(const QuantFormat&, std::int64_t k) = nullptr;  ///< layouts that prepare() can read
  Buffer (*prepare)(const PackedMatrix&) = nullptr;  ///< derives the layout that run() reads; counted as memory
  GemmFn run = nullptr;                              ///< Operation::product only
  DepthwiseFn depthwise = nullptr;                   ///< Operation::depthwise only
  std::int64_t column_step = 1;                      ///< columns per panel; gemm() splits columns at multiples of it
  std::int64_t min_rows = 1, max_rows = std::numeric_limits<std::int64_t>::max();  ///< that this variant is meant for
  bool reference = false;          ///< the definition other variants of the family are tested against
  bool peer = false;               ///< somebody else's library, which chooses its instructions itself
  bool by_name_only = false;       ///< never chosen as "best": a variant made to be wrong in tests
  bool takes_whole_calls = false;  ///< gemm() does not split the product: the kernel uses GemmArgs::threads itself
};

/// All variants compiled in. Per family: the reference first, then rising preference.
/// Rows of test_kernels() follow the table.
std::span<const KernelInfo> kernels();

/// Further rows: none, unless a program defines this function itself, in an object file of its own, which then takes
/// the place of the library's. Only test programs do.
std::span<const KernelInfo> test_kernels();

const KernelInfo* find_kernel(std::string_view name);  ///< null when unknown
std::vector<std::string> kernel_names();

/// The definition that `kernel` is tested against; itself for a reference.
const KernelInfo& reference_of(const KernelInfo& kernel);

/// What a study's `kernels` axis may hold: "best", "reference", or a kernel's name.
///
/// best: the last usable, non-peer variant of the first family that accepts the layout and has one beside its reference
/// (else that reference); reference: the reference of the first family that accepts; a name: that kernel where it
/// accepts layout and activations, "best" of its ISA cap (for a peer: of `isa`) for the other layers.
/// Row limits guide "best" only; every variant is correct for any number of rows. `isa` is the cap in force.
/// Only kernels of `operation` are looked at; for Operation::depthwise k is the kernel's area and rows are the results
/// per channel. Returns null when no family computes these activations with this layout.
/// Throws Unsupported when a kernel that is named needs instructions outside the cap.
const KernelInfo* choose_kernel(std::string_view choice, Activations activations, const QuantFormat& format,
                                std::int64_t k, std::int64_t rows, Isa isa, Operation operation = Operation::product);

/// Throws InputError naming the nearest name when `choice` is none of the above.
void check_kernel_choice(std::string_view choice);

}  // namespace qb
