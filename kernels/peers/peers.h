// Other people's libraries as rows of the kernel table: the same operands, the same proof, the same table of times.
//
// A peer is compiled when its headers are found (option QB_PEERS) and loaded by the first prepare() that asks for it: a
// program that uses none pays nothing, and one that meets a machine without the library says so (Unsupported). It makes
// its own layout of the weights in prepare(). Whatever it does behind that counts as its time.
#pragma once
#include <string>
#include <vector>

#include "kernels/gemm_args.h"
#include "kernels/packed_matrix.h"
#include "kernels/registry.h"

namespace qb {

/// OpenBLAS, cblas_sgemm (cblas_sgemv for one row), on one thread per part of the product that gemm() gives it:
/// splitting the columns outside is as fast as its own threads, which would go on spinning into the next kernel's time.
Buffer prepare_f32_f32_openblas(const PackedMatrix& weights);
void gemm_f32_f32_openblas(const GemmArgs& args);

/// oneDNN's matmul on whole calls: it splits them itself, in whatever way suits its layout. Its layout of the weights
/// is the one that it asks for with 512 rows; with fewer rows it asks for the same. Activations are handed to it as
/// dense rows: only those reach its fast kernels.
///
/// f32      as gemm_f32_f32_ref within rounding_bound(); bf16 as gemm_bf16_bf16_ref likewise.
/// s8       u8 * s8 (activations shifted by 128) or s8 * s8 into int32, which is exact; then this folder subtracts what
///          the zero points add and scales as gemm_s8_q8_ref does, bit for bit. With scales by row of its own oneDNN
///          2.6.3 leaves its fast kernels.
Buffer prepare_f32_f32_onednn(const PackedMatrix& weights);
void gemm_f32_f32_onednn(const GemmArgs& args);
Buffer prepare_bf16_bf16_onednn(const PackedMatrix& weights);
void gemm_bf16_bf16_onednn(const GemmArgs& args);
Buffer prepare_s8_q8_onednn(const PackedMatrix& weights);
void gemm_s8_q8_onednn(const GemmArgs& args);
Buffer prepare_s8_q8_onednn_s8s8(const PackedMatrix& weights);
void gemm_s8_q8_onednn_s8s8(const GemmArgs& args);

/// What is known about the library behind a peer: "OpenBLAS 0.3.21, core SkylakeX". Empty for kernels of our own.
/// Throws Unsupported when the library cannot be loaded.
std::string describe_peer(const KernelInfo& kernel);

/// One of the sets of kernels that OpenBLAS has for this architecture, and how fast it multiplies here.
struct OpenblasCore {
  std::string name;      ///< a value of OPENBLAS_CORETYPE; empty: the library's own choice
  double ops_per_s = 0;  ///< float32, 2 per multiply-add, one thread; 0: it failed here
};

/// Tries the core types in child processes, because OpenBLAS reads OPENBLAS_CORETYPE when it is loaded, and sets that
/// variable to the fastest before this process loads it. Leaves a variable that the user has set, and then gives
/// nothing. Nothing as well where OpenBLAS was not compiled in. Takes about half a second.
std::vector<OpenblasCore> choose_openblas_core();

}  // namespace qb
