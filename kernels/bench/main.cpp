// quantbench-kernels: the whole kernel table over layer shapes.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <malloc.h>

#include <cstdio>
#include <exception>
#include <limits>
#include <memory>

#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "kernels/bench/choice.h"
#include "kernels/bench/document.h"
#include "kernels/bench/goals.h"
#include "kernels/bench/measure.h"
#include "kernels/bench/options.h"
#include "kernels/bench/shares_picture.h"
#include "kernels/bench/table.h"
#include "kernels/bench/table_output.h"

namespace qb {

namespace {

void register_benchmarks(const Options& options) {
  const auto place = std::make_shared<Workplace>();
  for (const LayerShape& shape : options.shapes)
    for (const ProductFormat& format : options.formats)
      for (const KernelInfo& kernel : kernels()) {
        if (shape.work != Work::product || !applies(kernel, format, shape.k)) continue;
        for (const int threads : options.threads) {
          const BenchmarkCase c{&kernel, format, shape, threads};
          const auto body = [=](benchmark::State& state) { measure(state, c, *place); };
          benchmark::RegisterBenchmark(name_of(c).c_str(), body)->UseRealTime()->Unit(benchmark::kMicrosecond);
        }
      }
}

/// Writes the page and, beside it, its picture.
void write_document(const Options& options, const Table& table, const MachineFacts& machine,
                    const std::string& command) {
  const std::vector<Goal> goals = read_goals(options.goals);
  const std::vector<GoalResult> judged = judge(goals, table, options.threads);
  write_file_atomically(options.document, performance_page(table, goals, judged, machine, command, options.rounds));
  std::filesystem::path picture = options.document;
  write_file_atomically(picture.replace_extension(".svg"), shares_picture(judged));
}

/// Keeps freed memory: copies of weights come and go by the gigabyte, and new pages cost more than filling them.
void keep_freed_memory() {
  ::mallopt(M_MMAP_MAX, 0);
  ::mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
}

int run(int count, char** arguments) {
  keep_freed_memory();
  std::vector<char*> all(arguments, arguments + count);
  std::string min_time = "--benchmark_min_time=0.1";  // ahead of the user's own, which then wins
  all.insert(all.begin() + 1, min_time.data());
  int rest = int(all.size());
  benchmark::Initialize(&rest, all.data(), [] { std::fputs(kUsage, stdout); });
  const Options options = read_options({all.begin() + 1, all.begin() + rest}, QB_SHAPES_FOLDER);
  if (!options.goals.empty()) read_goals(options.goals);  // its faults are known before an hour of measuring
  const std::vector<OpenblasCore> cores = choose_openblas_core();
  if (!options.table && options.document.empty()) {
    register_benchmarks(options);
    benchmark::RunSpecifiedBenchmarks();
    return kExitDone;
  }
  const Table table = measure_table(options);
  const MachineFacts machine = machine_facts(cores);
  if (options.table) {
    const std::string text = to_text(table, machine, options.output);
    std::fwrite(text.data(), 1, text.size(), stdout);
  }
  std::string command = "quantbench-kernels";
  for (int i = 1; i < count; ++i) command += fmt::format(" {}", arguments[i]);
  if (!options.document.empty()) write_document(options, table, machine, command);
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
