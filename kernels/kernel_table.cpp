// The rows of kernel_table.inc as data.
#include <algorithm>
#include <iterator>
#include <limits>
#include <vector>

#include "kernels/depthwise_f32_f32/prepare.h"
#include "kernels/depthwise_s8_q8/prepare.h"
#include "kernels/gemm_bf16_bf16/prepare.h"
#include "kernels/gemm_bf16_w/prepare.h"
#include "kernels/gemm_binary_binary/prepare.h"
#include "kernels/gemm_f32_f32/prepare.h"
#include "kernels/gemm_f32_w/prepare.h"
#include "kernels/gemm_s8_int/prepare.h"
#include "kernels/gemm_s8_q8/prepare.h"
#include "kernels/peers/peers.h"
#include "kernels/registry.h"

// Where a row is compiled: a row of another architecture, or of a library that was not found, vanishes.
#define QB_WHERE_ref(...) __VA_ARGS__
#if defined(__x86_64__)
#define QB_WHERE_X86(...) __VA_ARGS__
#else
#define QB_WHERE_X86(...)
#endif
#if defined(__aarch64__)
#define QB_WHERE_ARM(...) __VA_ARGS__
#else
#define QB_WHERE_ARM(...)
#endif
#define QB_WHERE_avx2 QB_WHERE_X86
#define QB_WHERE_avxvnni QB_WHERE_X86
#define QB_WHERE_avx512 QB_WHERE_X86
#define QB_WHERE_avx512bf16 QB_WHERE_X86
#define QB_WHERE_avx512bf16vbmi QB_WHERE_X86
#define QB_WHERE_avx512vnni QB_WHERE_X86
#define QB_WHERE_avx512vbmi QB_WHERE_X86
#define QB_WHERE_avx512vpopcnt QB_WHERE_X86
#define QB_WHERE_neon QB_WHERE_ARM
#define QB_WHERE_dotprod QB_WHERE_ARM
#define QB_WHERE_i8mm QB_WHERE_ARM
#ifdef QB_OPENBLAS_FILE
#define QB_WHERE_openblas(...) __VA_ARGS__
#else
#define QB_WHERE_openblas(...)
#endif
#ifdef QB_ONEDNN_FILE
#define QB_WHERE_onednn(...) __VA_ARGS__
#else
#define QB_WHERE_onednn(...)
#endif
#define QB_WHERE_onednn_s8s8 QB_WHERE_onednn

namespace qb {

#define QB_PRODUCT(family, part, isa, ...) QB_WHERE_##isa(void family##part##_##isa(const GemmArgs&);)
#define QB_DEPTHWISE(family, isa, ...) QB_WHERE_##isa(void family##_##isa(const DepthwiseArgs&);)
#define QB_PEER(family, library, ...) QB_WHERE_##library(void family##_##library(const GemmArgs&);)
#define QB_WHOLE_PEER QB_PEER
#include "kernels/kernel_table.inc"
#undef QB_PRODUCT
#undef QB_DEPTHWISE
#undef QB_PEER
#undef QB_WHOLE_PEER

namespace {

using AcceptsFn = bool (*)(const QuantFormat&, std::int64_t);
using PrepareFn = Buffer (*)(const PackedMatrix&);

/// What each ISA of the table needs: as the compile flags of its files.
namespace needs {
constexpr Isa ref = Isa::none, avx2 = Isa::avx2, avxvnni = avx2 | Isa::avxvnni, avx512 = avx2 | Isa::avx512,
              avx512bf16 = avx512 | Isa::avx512bf16, avx512bf16vbmi = avx512bf16 | Isa::avx512vbmi,
              avx512vnni = avx512 | Isa::avx512vnni, avx512vbmi = avx512vnni | Isa::avx512vbmi,
              avx512vpopcnt = avx512 | Isa::avx512vpopcnt, neon = Isa::neon, dotprod = neon | Isa::dotprod,
              i8mm = dotprod | Isa::i8mm;
}  // namespace needs

/// By the second word of a family: gemm_s8_int reads s8.
constexpr Activations activations_of(std::string_view family) {
  const std::size_t begin = family.find('_') + 1;
  const std::string_view word = family.substr(begin, family.find('_', begin) - begin);
  if (word == "f32") return Activations::f32;
  if (word == "bf16") return Activations::bf16;
  if (word == "s8") return Activations::s8;
  if (word == "binary") return Activations::binary;
  throw "a family's second word names its activations";
}

constexpr KernelInfo row_of(std::string_view name, std::string_view family, Isa needs) {
  return {.name = name,
          .family = family,
          .activations = activations_of(family),
          .needs = needs,
          .reference = name.ends_with("_ref")};
}

constexpr KernelInfo product(KernelInfo row, GemmFn run, std::int64_t column_step, AcceptsFn accepts,
                             PrepareFn prepare) {
  row.run = run;
  row.column_step = column_step;
  row.accepts = accepts;
  row.prepare = prepare;
  return row;
}

constexpr KernelInfo depthwise_row(KernelInfo row, DepthwiseFn run, AcceptsFn accepts, PrepareFn prepare) {
  row.operation = Operation::depthwise;
  row.depthwise = run;
  row.accepts = accepts;
  row.prepare = prepare;
  return row;
}

constexpr std::int64_t kPeerColumns = 64;

/// A peer takes the layouts that the rest of its family takes.
constexpr KernelInfo peer(KernelInfo row, GemmFn run, bool whole_calls, AcceptsFn accepts, PrepareFn prepare) {
  row = product(row, run, kPeerColumns, accepts, prepare);
  row.peer = true;
  row.takes_whole_calls = whole_calls;
  return row;
}

#define QB_ROW(family, name, isa) row_of(#name, #family, needs::isa)
#define QB_PRODUCT(family, part, isa, ...) \
  QB_WHERE_##isa(product(QB_ROW(family, family##part##_##isa, isa), family##part##_##isa, __VA_ARGS__), )
#define QB_DEPTHWISE(family, isa, ...) \
  QB_WHERE_##isa(depthwise_row(QB_ROW(family, family##_##isa, isa), family##_##isa, family##_accepts, __VA_ARGS__), )
#define QB_PEER_ROW(whole_calls, family, library, isa, ...)                                                        \
  QB_WHERE_##library(QB_WHERE_##isa(peer(QB_ROW(family, family##_##library, isa), family##_##library, whole_calls, \
                                         family##_accepts, __VA_ARGS__), ))
#define QB_PEER(...) QB_PEER_ROW(false, __VA_ARGS__)
#define QB_WHOLE_PEER(...) QB_PEER_ROW(true, __VA_ARGS__)
constexpr KernelInfo kTable[] = {
#include "kernels/kernel_table.inc"
};

}  // namespace

std::span<const KernelInfo> kernels() {
  static const std::vector<KernelInfo> all = [] {
    std::vector<KernelInfo> rows;
    std::ranges::copy(kTable, std::back_inserter(rows));
    std::ranges::copy(test_kernels(), std::back_inserter(rows));
    return rows;
  }();
  return all;
}

}  // namespace qb
