// quantbench-kernels: the whole kernel table over the layer shapes of configs/shapes.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <optional>

#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "kernels/base/text.h"
#include "kernels/bench/measure.h"
#include "kernels/bench/table_reporter.h"

namespace qb {

namespace {

constexpr const char* kDefaultFormats = "f32,q8c,q4c,q4g32,q4g128";
constexpr const char* kUsage =
    "quantbench-kernels: measures every kernel on layer shapes, proves each result first\n"
    "  --shapes=FILE     shapes to measure, 'm n k # comment' per line; may be repeated (default: "
    "configs/shapes/*.txt)\n"
    "  --formats=LIST    weight formats, separated by commas (default: f32,q8c,q4c,q4g32,q4g128)\n"
    "  --threads=N       threads per product (default: 1)\n"
    "  --table           one readable line per measurement\n"
    "and the options of Google Benchmark, among them\n"
    "  --benchmark_filter=REGEX  --benchmark_min_time=SECONDS (default: 0.1)  --benchmark_repetitions=N\n"
    "  --benchmark_format=json  --benchmark_out=FILE\n";

struct Options {
  std::vector<LayerShape> shapes;
  std::vector<QuantFormat> formats;
  int threads = 1;
  bool table = false;
};

void print_usage() { std::fputs(kUsage, stdout); }

/// The text behind "--name=", if `argument` begins so.
std::optional<std::string_view> value_of(std::string_view argument, std::string_view name) {
  if (!argument.starts_with(name) || argument.substr(name.size(), 1) != "=") return std::nullopt;
  return argument.substr(name.size() + 1);
}

Options read_options(int count, char** arguments) {
  Options options;
  std::string_view formats = kDefaultFormats;
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    if (const auto file = value_of(argument, "--shapes")) {
      files.emplace_back(*file);
    } else if (const auto list = value_of(argument, "--formats")) {
      formats = *list;
    } else if (const auto number = value_of(argument, "--threads")) {
      const auto threads = parse_int(*number);
      if (!threads || *threads < 1 || *threads > hardware_threads())
        throw InputError(
            fmt::format("--threads={}: a number from 1 to {} is accepted here", *number, hardware_threads()));
      options.threads = int(*threads);
    } else if (argument == "--table") {
      options.table = true;
    } else {
      throw InputError(
          fmt::format("option '{}' is not known{}", argument,
                      suggestion(argument, {"--shapes=FILE", "--formats=LIST", "--threads=N", "--table"})));
    }
  }
  for (const std::string_view text : split(formats, ',')) options.formats.push_back(parse_quant_format(text));
  if (files.empty()) files = shape_files(QB_SHAPES_FOLDER);
  for (const std::filesystem::path& file : files)
    for (const LayerShape& shape : read_shapes(file)) options.shapes.push_back(shape);
  return options;
}

/// Whether `kernel` is of the family that would be chosen for the format. Float kernels read every format as the same
/// float32 panels, so they are measured on f32 only.
bool applies(const KernelInfo& kernel, const QuantFormat& format, const LayerShape& shape) {
  if (kernel.operation != Operation::product) return false;
  if (kernel.activations == Activations::f32) return format.kind == CodeKind::f32;
  const KernelInfo* chosen = choose_kernel("reference", kernel.activations, format, shape.k, shape.m, host_isa());
  return chosen != nullptr && chosen->family == kernel.family;
}

void register_benchmarks(const Options& options, const Peaks& peaks) {
  const auto place = std::make_shared<Workplace>();
  for (const LayerShape& shape : options.shapes)
    for (const QuantFormat& format : options.formats)
      for (const KernelInfo& kernel : kernels()) {
        if (!applies(kernel, format, shape)) continue;
        const BenchmarkCase c{&kernel, format, shape, options.threads};
        const auto body = [=](benchmark::State& state) { measure(state, c, peaks, *place); };
        benchmark::RegisterBenchmark(name_of(c).c_str(), body)->UseRealTime()->Unit(benchmark::kMicrosecond);
      }
}

int run(int count, char** arguments) {
  std::vector<char*> all(arguments, arguments + count);
  std::string min_time = "--benchmark_min_time=0.1";  // ahead of the user's own, which then wins
  all.insert(all.begin() + 1, min_time.data());
  int rest = int(all.size());
  benchmark::Initialize(&rest, all.data(), print_usage);
  const Options options = read_options(rest, all.data());
  const Peaks peaks = measure_peaks(options.threads, /*budget_s=*/1.0);
  fmt::print(stderr,
             "peaks of {} thread(s): read {:.1f} GB/s, f32 {:.0f} GOP/s, int8 {:.0f} GOP/s, bf16 {:.0f} GOP/s\n",
             peaks.threads, peaks.read_bytes_per_s * 1e-9, peaks.f32_ops_per_s * 1e-9, peaks.s8_ops_per_s * 1e-9,
             peaks.bf16_ops_per_s * 1e-9);
  register_benchmarks(options, peaks);
  TableReporter table;
  if (options.table)
    benchmark::RunSpecifiedBenchmarks(&table);
  else
    benchmark::RunSpecifiedBenchmarks();
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
