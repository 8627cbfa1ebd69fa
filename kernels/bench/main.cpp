// quantbench-kernels: the whole kernel table over layer shapes.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <memory>

#include "kernels/base/error.h"
#include "kernels/bench/measure.h"
#include "kernels/bench/options.h"
#include "kernels/bench/table.h"
#include "kernels/bench/table_output.h"

namespace qb {

namespace {

void register_benchmarks(const Options& options) {
  const auto place = std::make_shared<Workplace>();
  for (const LayerShape& shape : options.shapes)
    for (const QuantFormat& format : options.formats)
      for (const KernelInfo& kernel : kernels()) {
        if (!applies(kernel, format, shape.k)) continue;
        for (const int threads : options.threads) {
          const BenchmarkCase c{&kernel, format, shape, threads};
          const auto body = [=](benchmark::State& state) { measure(state, c, *place); };
          benchmark::RegisterBenchmark(name_of(c).c_str(), body)->UseRealTime()->Unit(benchmark::kMicrosecond);
        }
      }
}

int run(int count, char** arguments) {
  std::vector<char*> all(arguments, arguments + count);
  std::string min_time = "--benchmark_min_time=0.1";  // ahead of the user's own, which then wins
  all.insert(all.begin() + 1, min_time.data());
  int rest = int(all.size());
  benchmark::Initialize(&rest, all.data(), [] { std::fputs(kUsage, stdout); });
  const Options options = read_options({all.begin() + 1, all.begin() + rest}, QB_SHAPES_FOLDER);
  const std::vector<OpenblasCore> cores = choose_openblas_core();
  if (!options.table) {
    register_benchmarks(options);
    benchmark::RunSpecifiedBenchmarks();
    return kExitDone;
  }
  const Table table = measure_table(options);
  const std::string text = to_text(table, machine_facts(cores), options.output);
  std::fwrite(text.data(), 1, text.size(), stdout);
  for (const TableRow& row : table.rows)
    if (!row.proof.fault.empty()) return kExitBrokenPromise;
  return kExitDone;
}

}  // namespace

}  // namespace qb

int main(int count, char** arguments) {
  try {
    return qb::run(count, arguments);
  } catch (const qb::InputError& error) {
    fmt::print(stderr, "quantbench-kernels: {}\n", error.what());
    return qb::kExitInput;
  } catch (const std::exception& error) {
    fmt::print(stderr, "quantbench-kernels: {}\n", error.what());
    return qb::kExitData;
  }
}
