#include "kernels/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>

#include "kernels/base/error.h"
#include "kernels/base/text.h"
#include "kernels/depthwise_f32_f32/depthwise_f32_f32.h"
#include "kernels/depthwise_f32_f32/prepare.h"
#include "kernels/depthwise_s8_q8/depthwise_s8_q8.h"
#include "kernels/depthwise_s8_q8/prepare.h"
#include "kernels/gemm_binary_binary/gemm_binary_binary.h"
#include "kernels/gemm_binary_binary/prepare.h"
#include "kernels/gemm_bf16_bf16/gemm_bf16_bf16.h"
#include "kernels/gemm_bf16_bf16/prepare.h"
#include "kernels/gemm_bf16_w/gemm_bf16_w.h"
#include "kernels/gemm_bf16_w/prepare.h"
#include "kernels/gemm_f32_f32/gemm_f32_f32.h"
#include "kernels/gemm_f32_f32/prepare.h"
#include "kernels/gemm_f32_w/gemm_f32_w.h"
#include "kernels/gemm_f32_w/prepare.h"
#include "kernels/gemm_s8_int/gemm_s8_int.h"
#include "kernels/gemm_s8_int/prepare.h"
#include "kernels/gemm_s8_q8/gemm_s8_q8.h"
#include "kernels/gemm_s8_q8/prepare.h"
#include "kernels/peers/peers.h"

namespace qb {

namespace {

constexpr std::int64_t kAnyRows = std::numeric_limits<std::int64_t>::max();
[[maybe_unused]] constexpr Isa kAvx2 = Isa::avx2;  // as the compile flags of *_avx2.cpp, and so on
[[maybe_unused]] constexpr Isa kAvxVnni = kAvx2 | Isa::avxvnni;
[[maybe_unused]] constexpr Isa kAvx512 = kAvx2 | Isa::avx512;
[[maybe_unused]] constexpr Isa kAvx512Bf16 = kAvx512 | Isa::avx512bf16;
[[maybe_unused]] constexpr Isa kAvx512Vnni = kAvx512 | Isa::avx512vnni;
[[maybe_unused]] constexpr Isa kAvx512Vbmi = kAvx512Vnni | Isa::avx512vbmi;
[[maybe_unused]] constexpr Isa kAvx512Vpopcnt = kAvx512 | Isa::avx512vpopcnt;
[[maybe_unused]] constexpr Isa kDotprod = Isa::neon | Isa::dotprod;
[[maybe_unused]] constexpr Isa kI8mm = kDotprod | Isa::i8mm;

constexpr KernelInfo depthwise_row(std::string_view name, std::string_view family, Activations activations,
                                   bool (*accepts)(const QuantFormat&, std::int64_t),
                                   Buffer (*prepare)(const PackedMatrix&), DepthwiseFn depthwise, Isa needs) {
  return {name,  family, activations,          accepts,  prepare, nullptr, needs, 1, 1, kAnyRows, needs == Isa::none,
          false, false,  Operation::depthwise, depthwise};
}

/// A peer that splits the product among threads itself.
[[maybe_unused]] constexpr KernelInfo whole_calls(KernelInfo row) {
  row.takes_whole_calls = true;
  return row;
}

// clang-format off
/// Families that accept less come first; within a family the reference, then rising preference.
constexpr KernelInfo kTable[] = {
    // name, family, activations, accepts, prepare, run, needs, column_step, min_rows, max_rows, reference, peer
    {"gemm_s8_int_ref", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts, prepare_s8_int_ref, gemm_s8_int_ref,
     Isa::none, 1, 1, kAnyRows, true, false},
#if defined(__x86_64__)
    {"gemm_s8_int_avx2", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts, prepare_s8_int<8, 8>, gemm_s8_int_avx2,
     kAvx2, 8, 1, kAnyRows, false, false},
    {"gemm_s8_int_avxvnni", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts, prepare_s8_int<8, 8>, gemm_s8_int_avxvnni,
     kAvxVnni, 8, 1, kAnyRows, false, false},
    {"gemm_s8_int1_avx512vnni", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts_bits<1>, prepare_s8_int<32, 16>, gemm_s8_int1_avx512vnni,
     kAvx512Vnni, 32, 1, kAnyRows, false, false},
    {"gemm_s8_int2_avx512vnni", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts_bits<2>, prepare_s8_int<32, 16>, gemm_s8_int2_avx512vnni,
     kAvx512Vnni, 32, 1, kAnyRows, false, false},
    {"gemm_s8_int3_avx512vnni", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts_bits<3>, prepare_s8_int<32, 16>, gemm_s8_int3_avx512vnni,
     kAvx512Vnni, 32, 1, kAnyRows, false, false},
    {"gemm_s8_int4_avx512vnni", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts_bits<4>, prepare_s8_int<32, 16>, gemm_s8_int4_avx512vnni,
     kAvx512Vnni, 32, 1, kAnyRows, false, false},
    {"gemm_s8_int5_avx512vnni", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts_bits<5>, prepare_s8_int<32, 16>, gemm_s8_int5_avx512vnni,
     kAvx512Vnni, 32, 1, kAnyRows, false, false},
    {"gemm_s8_int6_avx512vnni", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts_bits<6>, prepare_s8_int<32, 16>, gemm_s8_int6_avx512vnni,
     kAvx512Vnni, 32, 1, kAnyRows, false, false},
    {"gemm_s8_int7_avx512vnni", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts_bits<7>, prepare_s8_int<32, 16>, gemm_s8_int7_avx512vnni,
     kAvx512Vnni, 32, 1, kAnyRows, false, false},
    {"gemm_s8_int8_avx512vnni", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts_bits<8>, prepare_s8_int<32, 16>, gemm_s8_int8_avx512vnni,
     kAvx512Vnni, 32, 1, kAnyRows, false, false},
    {"gemm_s8_int_levels4_avx512vnni", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts_levels<4>, prepare_s8_int<32, 16>, gemm_s8_int_levels4_avx512vnni,
     kAvx512Vnni, 32, 1, kAnyRows, false, false},
    {"gemm_s8_int_levels4_avx512vbmi", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts_levels<4>, prepare_s8_int<32, 16>, gemm_s8_int_levels4_avx512vbmi,
     kAvx512Vbmi, 32, 1, kAnyRows, false, false},
    {"gemm_s8_int_levels6_avx512vnni", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts_levels<6>, prepare_s8_int<32, 16>, gemm_s8_int_levels6_avx512vnni,
     kAvx512Vnni, 32, 1, kAnyRows, false, false},
    {"gemm_s8_int_levels6_avx512vbmi", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts_levels<6>, prepare_s8_int<32, 16>, gemm_s8_int_levels6_avx512vbmi,
     kAvx512Vbmi, 32, 1, kAnyRows, false, false},
#elif defined(__aarch64__)
    {"gemm_s8_int_neon", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts, prepare_s8_int<8, 4>, gemm_s8_int_neon,
     Isa::neon, 8, 1, kAnyRows, false, false},
    {"gemm_s8_int_dotprod", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts, prepare_s8_int<8, 4>, gemm_s8_int_dotprod,
     kDotprod, 8, 1, kAnyRows, false, false},
    {"gemm_s8_int_i8mm", "gemm_s8_int", Activations::s8, gemm_s8_int_accepts, prepare_s8_int<8, 4>, gemm_s8_int_i8mm,
     kI8mm, 8, 1, kAnyRows, false, false},
#endif
    {"gemm_s8_q8_ref", "gemm_s8_q8", Activations::s8, gemm_s8_q8_accepts, prepare_s8_q8_ref, gemm_s8_q8_ref,
     Isa::none, 1, 1, kAnyRows, true, false},
#if defined(__x86_64__)
    {"gemm_s8_q8_avx2", "gemm_s8_q8", Activations::s8, gemm_s8_q8_accepts, prepare_s8_q8_avx2, gemm_s8_q8_avx2,
     kAvx2, 16, 1, kAnyRows, false, false},
    {"gemm_s8_q8_avxvnni", "gemm_s8_q8", Activations::s8, gemm_s8_q8_accepts, prepare_s8_q8_avxvnni, gemm_s8_q8_avxvnni,
     kAvxVnni, 16, 1, kAnyRows, false, false},
    {"gemm_s8_q8_avx512vnni", "gemm_s8_q8", Activations::s8, gemm_s8_q8_accepts, prepare_s8_q8_avx512vnni, gemm_s8_q8_avx512vnni,
     kAvx512Vnni, 64, 1, kAnyRows, false, false},
#elif defined(__aarch64__)
    {"gemm_s8_q8_neon", "gemm_s8_q8", Activations::s8, gemm_s8_q8_accepts, prepare_s8_q8_neon, gemm_s8_q8_neon,
     Isa::neon, 16, 1, kAnyRows, false, false},
    {"gemm_s8_q8_dotprod", "gemm_s8_q8", Activations::s8, gemm_s8_q8_accepts, prepare_s8_q8_dotprod, gemm_s8_q8_dotprod,
     kDotprod, 16, 1, kAnyRows, false, false},
    {"gemm_s8_q8_i8mm", "gemm_s8_q8", Activations::s8, gemm_s8_q8_accepts, prepare_s8_q8_i8mm, gemm_s8_q8_i8mm,
     kI8mm, 16, 1, kAnyRows, false, false},
#endif
#if defined(QB_ONEDNN_FILE) && defined(__x86_64__)  // without VNNI its sums of pairs saturate
    whole_calls({"gemm_s8_q8_onednn", "gemm_s8_q8", Activations::s8, gemm_s8_q8_accepts, prepare_s8_q8_onednn, gemm_s8_q8_onednn,
                 kAvx512Vnni, 64, 1, kAnyRows, false, true}),
#endif
#if defined(__x86_64__)
    {"gemm_bf16_w_ref", "gemm_bf16_w", Activations::bf16, gemm_bf16_w_accepts, prepare_bf16_w_ref, gemm_bf16_w_ref,
     Isa::none, 1, 1, kAnyRows, true, false},
    {"gemm_bf16_w_avx2", "gemm_bf16_w", Activations::bf16, gemm_bf16_w_accepts, prepare_bf16_w_avx2, gemm_bf16_w_avx2,
     kAvx2, 32, 1, kAnyRows, false, false},
    {"gemm_bf16_w_avx512", "gemm_bf16_w", Activations::bf16, gemm_bf16_w_accepts, prepare_bf16_w_avx512, gemm_bf16_w_avx512,
     kAvx512, 64, 1, kAnyRows, false, false},
    {"gemm_bf16_w_avx512bf16", "gemm_bf16_w", Activations::bf16, gemm_bf16_w_accepts, prepare_bf16_w_avx512, gemm_bf16_w_avx512bf16,
     kAvx512Bf16, 64, 1, kAnyRows, false, false},
#endif
    {"gemm_bf16_bf16_ref", "gemm_bf16_bf16", Activations::bf16, gemm_bf16_bf16_accepts, prepare_bf16_bf16_ref, gemm_bf16_bf16_ref,
     Isa::none, 1, 1, kAnyRows, true, false},
#if defined(__x86_64__)
    {"gemm_bf16_bf16_avx2", "gemm_bf16_bf16", Activations::bf16, gemm_bf16_bf16_accepts, prepare_bf16_bf16_avx2, gemm_bf16_bf16_avx2,
     kAvx2, 32, 1, kAnyRows, false, false},
    {"gemm_bf16_bf16_avx512", "gemm_bf16_bf16", Activations::bf16, gemm_bf16_bf16_accepts, prepare_bf16_bf16_avx512, gemm_bf16_bf16_avx512,
     kAvx512, 64, 1, kAnyRows, false, false},
    {"gemm_bf16_bf16_avx512bf16", "gemm_bf16_bf16", Activations::bf16, gemm_bf16_bf16_accepts, prepare_bf16_bf16_avx512, gemm_bf16_bf16_avx512bf16,
     kAvx512Bf16, 64, 1, kAnyRows, false, false},
#endif
#if defined(QB_ONEDNN_FILE) && defined(__x86_64__)
    whole_calls({"gemm_bf16_bf16_onednn", "gemm_bf16_bf16", Activations::bf16, gemm_bf16_bf16_accepts, prepare_bf16_bf16_onednn, gemm_bf16_bf16_onednn,
                 kAvx512Bf16, 64, 1, kAnyRows, false, true}),
#endif
#if defined(__x86_64__)
    {"gemm_f32_w_ref", "gemm_f32_w", Activations::f32, gemm_f32_w_accepts, prepare_f32_w_ref, gemm_f32_w_ref,
     Isa::none, 1, 1, kAnyRows, true, false},
    {"gemm_f32_w_avx2", "gemm_f32_w", Activations::f32, gemm_f32_w_accepts, prepare_f32_w_avx2, gemm_f32_w_avx2,
     kAvx2, 32, 1, kAnyRows, false, false},
    {"gemm_f32_w_avx512", "gemm_f32_w", Activations::f32, gemm_f32_w_accepts, prepare_f32_w_avx512, gemm_f32_w_avx512,
     kAvx512, 64, 1, kAnyRows, false, false},
#endif
    {"gemm_binary_binary_ref", "gemm_binary_binary", Activations::binary, gemm_binary_binary_accepts, prepare_binary_binary_ref, gemm_binary_binary_ref,
     Isa::none, 1, 1, kAnyRows, true, false},
#if defined(__x86_64__)
    {"gemm_binary_binary_avx2", "gemm_binary_binary", Activations::binary, gemm_binary_binary_accepts, prepare_binary_binary_avx2, gemm_binary_binary_avx2,
     kAvx2, 64, 1, kAnyRows, false, false},
    {"gemm_binary_binary_avx512vpopcnt", "gemm_binary_binary", Activations::binary, gemm_binary_binary_accepts, prepare_binary_binary_avx512vpopcnt, gemm_binary_binary_avx512vpopcnt,
     kAvx512Vpopcnt, 32, 1, kAnyRows, false, false},
#elif defined(__aarch64__)
    {"gemm_binary_binary_neon", "gemm_binary_binary", Activations::binary, gemm_binary_binary_accepts, prepare_binary_binary_neon, gemm_binary_binary_neon,
     Isa::neon, 16, 1, kAnyRows, false, false},
#endif
    {"gemm_f32_f32_ref", "gemm_f32_f32", Activations::f32, gemm_f32_f32_accepts, prepare_f32_f32_ref, gemm_f32_f32_ref,
     Isa::none, 1, 1, kAnyRows, true, false},
#if defined(__x86_64__)
    {"gemm_f32_f32_avx2", "gemm_f32_f32", Activations::f32, gemm_f32_f32_accepts, prepare_f32_f32_avx2, gemm_f32_f32_avx2,
     kAvx2, 16, 1, kAnyRows, false, false},
    {"gemm_f32_f32_avx512", "gemm_f32_f32", Activations::f32, gemm_f32_f32_accepts, prepare_f32_f32_avx512, gemm_f32_f32_avx512,
     kAvx512, 64, 1, kAnyRows, false, false},
#elif defined(__aarch64__)
    {"gemm_f32_f32_neon", "gemm_f32_f32", Activations::f32, gemm_f32_f32_accepts, prepare_f32_f32_neon, gemm_f32_f32_neon,
     Isa::neon, 16, 1, kAnyRows, false, false},
#endif
#ifdef QB_OPENBLAS_FILE
    {"gemm_f32_f32_openblas", "gemm_f32_f32", Activations::f32, gemm_f32_f32_accepts, prepare_f32_f32_openblas, gemm_f32_f32_openblas,
     Isa::none, 64, 1, kAnyRows, false, true},
#endif
#ifdef QB_ONEDNN_FILE
    whole_calls({"gemm_f32_f32_onednn", "gemm_f32_f32", Activations::f32, gemm_f32_f32_accepts, prepare_f32_f32_onednn, gemm_f32_f32_onednn,
                 Isa::none, 64, 1, kAnyRows, false, true}),
#endif
    // Depthwise: the reference is the row that needs nothing.
    depthwise_row("depthwise_s8_q8_ref", "depthwise_s8_q8", Activations::s8, depthwise_s8_q8_accepts, prepare_depthwise_s8_q8, depthwise_s8_q8_ref, Isa::none),
#if defined(__x86_64__)
    depthwise_row("depthwise_s8_q8_avx2", "depthwise_s8_q8", Activations::s8, depthwise_s8_q8_accepts, prepare_depthwise_s8_q8, depthwise_s8_q8_avx2, kAvx2),
    depthwise_row("depthwise_s8_q8_avx512vnni", "depthwise_s8_q8", Activations::s8, depthwise_s8_q8_accepts, prepare_depthwise_s8_q8, depthwise_s8_q8_avx512vnni, kAvx512Vnni),
#elif defined(__aarch64__)
    depthwise_row("depthwise_s8_q8_neon", "depthwise_s8_q8", Activations::s8, depthwise_s8_q8_accepts, prepare_depthwise_s8_q8, depthwise_s8_q8_neon, Isa::neon),
#endif
    depthwise_row("depthwise_f32_f32_ref", "depthwise_f32_f32", Activations::f32, depthwise_f32_f32_accepts, prepare_depthwise_f32_f32, depthwise_f32_f32_ref, Isa::none),
#if defined(__x86_64__)
    depthwise_row("depthwise_f32_f32_avx2", "depthwise_f32_f32", Activations::f32, depthwise_f32_f32_accepts, prepare_depthwise_f32_f32, depthwise_f32_f32_avx2, kAvx2),
    depthwise_row("depthwise_f32_f32_avx512", "depthwise_f32_f32", Activations::f32, depthwise_f32_f32_accepts, prepare_depthwise_f32_f32, depthwise_f32_f32_avx512, kAvx512),
#elif defined(__aarch64__)
    depthwise_row("depthwise_f32_f32_neon", "depthwise_f32_f32", Activations::f32, depthwise_f32_f32_accepts, prepare_depthwise_f32_f32, depthwise_f32_f32_neon, Isa::neon),
#endif
};
// clang-format on

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

/// The last usable variant of the first family that accepts the layout; null when none does.
const KernelInfo* best_kernel(const Wanted& wanted, Isa isa) {
  const KernelInfo* best = nullptr;
  for (const KernelInfo& kernel : kernels()) {
    if (!computes(kernel, wanted) || (best && kernel.family != best->family)) continue;
    const bool suits = wanted.rows >= kernel.min_rows && wanted.rows <= kernel.max_rows && includes(isa, kernel.needs);
    if (kernel.reference || (suits && !kernel.peer && !kernel.by_name_only)) best = &kernel;
  }
  return best;
}

}  // namespace

std::string_view name_of(Activations activations) {
  constexpr std::string_view kNames[] = {"f32", "bf16", "s8", "binary"};
  return kNames[std::size_t(activations)];
}

std::string_view name_of(Operation operation) { return operation == Operation::product ? "product" : "depthwise"; }

std::span<const KernelInfo> kernels() {
  static const std::vector<KernelInfo> all = [] {
    std::vector<KernelInfo> rows;
    std::ranges::copy(kTable, std::back_inserter(rows));
    std::ranges::copy(test_kernels(), std::back_inserter(rows));
    return rows;
  }();
  return all;
}

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
