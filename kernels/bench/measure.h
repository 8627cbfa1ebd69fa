// One kernel on one layer shape as a Google Benchmark.
#pragma once
#include <benchmark/benchmark.h>

#include <string>

#include "kernels/bench/product_format.h"
#include "kernels/bench/shapes.h"
#include "kernels/bench/subject.h"

namespace qb {

/// What is measured: the name of the benchmark is made of these.
struct BenchmarkCase {
  const KernelInfo* kernel = nullptr;
  ProductFormat format;
  LayerShape shape;
  int threads = 1;
};
std::string name_of(const BenchmarkCase& c);  ///< "gemm_s8_q8_ref/q8c/m:1/n:4096/k:4096/threads:1"

/// What one case is measured with. Google Benchmark calls a benchmark several times until it knows how many iterations
/// it needs: what is made for a case is kept until another case asks.
struct Workplace {
  std::string operands_key;  ///< format and shape of the next two
  PackedMatrix weights;
  std::vector<float> a;  ///< [m, k]
  std::string key;       ///< name_of() the case of the rest
  Subject subject;
  std::vector<float> proven;  ///< [m, n]
  std::string fault;          ///< of the proof; empty when the result is right
};

/// Measures one case. Time includes quantizing the activations and excludes preparing the weights.
///
/// One row: cold, every product on the next of so many copies of the weights that none is in a cache. Many rows: hot.
/// The result is compared with the reference, and the timed result with the proven one; where one differs, the
/// benchmark reports an error and no time. Counters: "ops/s" (2 per multiply-add of the unpadded problem) and
/// "weight_B/s" (bytes of the prepared weights).
void measure(benchmark::State& state, const BenchmarkCase& c, Workplace& place);

}  // namespace qb
