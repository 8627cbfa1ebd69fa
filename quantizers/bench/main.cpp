// quantbench-quantizers: what quantizing one layer takes, calibration included, and what it leaves of the results.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/base/memory.h"
#include "kernels/base/random.h"
#include "kernels/base/text.h"
#include "models/executor.h"
#include "models/metrics.h"
#include "quantizers/quantizer.h"

namespace qb {
namespace {

constexpr std::string_view kUsage =
    "quantbench-quantizers [--size=N] [--rows=M] [--threads=T] [--quantizers=SPEC;SPEC...] [--benchmark_...]\n\n"
    "Quantizes one dense layer of N x N weights (4096), with M rows of calibration samples (2048), on T threads (1).\n"
    "Prints seconds, the peak memory that was added (MiB), bits per weight and the SQNR (dB) of the layer's results on\n"
    "rows of the same kind that the method has not seen. Other options are Google Benchmark's, such as\n"
    "--benchmark_repetitions=3 or --benchmark_format=json.\n";

struct Options {
  std::int64_t size = 4096, rows = 2048;
  int threads = 1;
  std::vector<std::string> specs = {
      "rtn:w4g128", "rtn:w4g128@range=mse", "kmeans:w4@per=channel", "hqq:w4g128", "gguf:q4_K", "gptq:w4g128",
      "awq:w4g128"};
};

/// Inputs that share a few directions and have channels of different size, as those of real layers do.
Tensor random_rows(std::int64_t rows, std::int64_t k, std::uint64_t seed) {
  constexpr std::size_t kShared = 16;
  Random mixing(1), random(seed);
  std::vector<float> mix(kShared * std::size_t(k)), size(static_cast<std::size_t>(k));
  for (float& value : mix) value = float(mixing.normal());
  for (float& value : size) value = float(mixing.uniform(0.1, 1) * (mixing.below(64) == 0 ? 10 : 1));
  Tensor tensor(DType::f32, {rows, k});
  const std::span<float> values = tensor.as<float>();
  for (std::size_t row = 0; row < std::size_t(rows); ++row) {
    float hidden[kShared];
    for (float& value : hidden) value = 0.25f * float(random.normal());
    for (std::size_t i = 0; i < std::size_t(k); ++i) {
      float sum = float(random.uniform(-1, 1));
      for (std::size_t h = 0; h < kShared; ++h) sum += hidden[h] * mix[h * std::size_t(k) + i];
      values[row * std::size_t(k) + i] = sum * size[i];
    }
  }
  return tensor;
}

Model one_layer(std::int64_t size) {
  Model model;
  model.name = "one layer";
  model.graph.inputs = {{"x", DType::f32, {-1, size}}};
  model.graph.outputs = {"y"};
  model.graph.nodes = {{"layer", "Gemm", {"x", "w"}, {"y"}, {{"transB", std::int64_t(1)}}, {}}};
  Tensor weights(DType::f32, {size, size});
  Random random(2);
  for (float& value : weights.as<float>()) value = float(0.02 * random.normal());
  model.weights.emplace("w", std::move(weights));
  return model;
}

struct Task {
  Model model;
  Tensor calibration, unseen;
};

double results_sqnr(const Task& task, const Model& quantized, int threads) {
  ExecutorOptions options;
  options.batch = task.unseen.shape[0];
  options.threads = threads;
  Executor before(task.model, options), after(quantized, options);
  return sqnr_db(before.run(task.unseen).as<float>(), after.run(task.unseen).as<float>());
}

void measure(benchmark::State& state, const Task& task, const std::string& text, int threads) {
  const QuantSpec spec = parse_quant_spec(text);
  double added = 0, bits = 0, sqnr = 0;
  for ([[maybe_unused]] auto _ : state) {
    const bool counted = reset_peak();
    const std::int64_t before = resident_bytes();
    const QuantizedModel out = quantize_model(task.model, spec, task.calibration, threads);
    state.PauseTiming();
    if (counted) added = double(peak_resident_bytes() - before) / (1 << 20);
    bits = model_bytes(out.model).bits_per_weight;
    sqnr = results_sqnr(task, out.model, threads);
    state.ResumeTiming();
  }
  state.counters["added_MiB"] = added;
  state.counters["bits_per_weight"] = bits;
  state.counters["results_sqnr_dB"] = sqnr;
}

std::int64_t number_of(std::string_view text, std::int64_t low, std::int64_t high) {
  const std::string_view value = text.substr(text.find('=') + 1);
  const auto number = parse_int(value);
  if (!number || *number < low || *number > high)
    throw InputError(fmt::format("'{}': a number from {} to {} is needed", text, low, high));
  return *number;
}

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument.starts_with("--size=")) {
      options.size = number_of(argument, 16, 32768);
    } else if (argument.starts_with("--rows=")) {
      options.rows = number_of(argument, 1, 1 << 20);
    } else if (argument.starts_with("--threads=")) {
      options.threads = int(number_of(argument, 1, 1024));
    } else if (argument.starts_with("--quantizers=")) {
      options.specs.clear();
      for (const std::string_view spec : split(argument.substr(argument.find('=') + 1), ';'))
        options.specs.push_back(to_text(parse_quant_spec(spec)));
    } else {
      throw InputError(fmt::format("'{}' is not known\n\n{}", argument, kUsage));
    }
  }
  return options;
}

int run(int argc, char** argv) {
  for (int i = 1; i < argc; ++i)
    if (std::string_view(argv[i]) == "--help") {
      fmt::print("{}", kUsage);
      return 0;
    }
  benchmark::Initialize(&argc, argv);  // takes its own arguments out
  const Options options = read_options(argc, argv);
  const auto task = std::make_shared<Task>(
      Task{one_layer(options.size), random_rows(options.rows, options.size, 3), random_rows(256, options.size, 4)});
  for (const std::string& spec : options.specs)
    benchmark::RegisterBenchmark(
        fmt::format("{}/{}x{}/rows:{}/threads:{}", spec, options.size, options.size, options.rows, options.threads)
            .c_str(),
        [=](benchmark::State& state) { measure(state, *task, spec, options.threads); })
        ->UseRealTime()
        ->Unit(benchmark::kSecond)
        ->Iterations(1);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace qb

int main(int argc, char** argv) {
  try {
    return qb::run(argc, argv);
  } catch (const qb::InputError& error) {
    fmt::print(stderr, "quantbench-quantizers: {}\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "quantbench-quantizers: {}\n", error.what());
    return 1;
  }
}
