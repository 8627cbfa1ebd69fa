// One kernel on one layer shape: operands, the proof that its result is right, and its time as a Google Benchmark.
#pragma once
#include <benchmark/benchmark.h>

#include <string>

#include "kernels/bench/shapes.h"
#include "kernels/gemm.h"
#include "kernels/peaks.h"

namespace qb {

/// What is measured: the name of the benchmark is made of these.
struct BenchmarkCase {
  const KernelInfo* kernel = nullptr;
  QuantFormat format;
  LayerShape shape;
  int threads = 1;
};
std::string name_of(const BenchmarkCase& c);  ///< "gemm_s8_q8_ref/q8c/m:1/n:4096/k:4096/threads:1"

/// What one case is measured with. Google Benchmark calls a benchmark several times until it knows how many iterations
/// it needs: what is made for a case is kept until another case asks.
struct Workplace {
  std::string operands_key;  ///< format and shape of the next two
  PackedMatrix weights;
  std::vector<float> a;              ///< [m, k]
  std::string key;                   ///< name_of() the case of the rest
  std::vector<PreparedMatrix> pool;  ///< one, or so many that none is in a cache when its turn comes
  std::vector<float> proven;         ///< [m, n]
  std::string fault;                 ///< of the proof; empty when the result is right
};

/// Counters that every result carries; names of Google Benchmark's user counters.
inline constexpr const char* kOpsRate = "ops/s";          ///< 2 per multiply-add of the unpadded problem
inline constexpr const char* kWeightRate = "weight_B/s";  ///< bytes of the prepared weights
inline constexpr const char* kPeakShare = "%peak";        ///< of the limit that the label names

/// Measures one case. Time includes quantizing the activations and excludes preparing the weights.
///
/// One row: cold, every product on the next of so many copies of the weights that none is in a cache. Many rows: hot.
/// The result is compared with the reference, and the timed result with the proven one; where one differs, the
/// benchmark reports an error and no time. The limit is the int8 or float32 rate, or for one row the read bandwidth
/// where that asks for more time.
void measure(benchmark::State& state, const BenchmarkCase& c, const Peaks& peaks, Workplace& place);

}  // namespace qb
