#include "quantizers/sample_runs.h"

#include <fmt/format.h>

#include <cstring>

#include "kernels/base/error.h"

namespace qb {

void check_samples(const Model& model, const Tensor& samples) {
  if (samples.rank() == 0 || samples.shape[0] == 0)
    throw DataError(fmt::format("model '{}': the quantizer needs calibration samples and there are none", model.name));
  if (model.graph.inputs.size() != 1)
    throw DataError(fmt::format("model '{}' takes {} inputs; calibration samples are for models with one", model.name,
                                model.graph.inputs.size()));
}

Tensor sample_rows(const Tensor& samples, std::int64_t begin, std::int64_t count) {
  Shape shape = samples.shape;
  const std::size_t row_bytes = samples.bytes.size() / std::size_t(shape[0]);
  shape[0] = count;
  Tensor part(samples.dtype, shape);
  std::memcpy(part.bytes.data(), samples.bytes.data() + std::size_t(begin) * row_bytes, std::size_t(count) * row_bytes);
  return part;
}

void run_samples(const Model& model, const Tensor& samples, int threads,
                 const std::function<ExecutorObserver(const Executor&)>& watch) {
  check_samples(model, samples);
  const std::int64_t count = samples.shape[0], whole = count - count % kCalibrationBatch;
  const auto run = [&](std::int64_t begin, std::int64_t end, std::int64_t batch) {
    ExecutorOptions options;
    options.batch = batch;
    options.threads = threads;
    Executor executor(model, options);
    executor.observe(watch(executor));
    for (std::int64_t row = begin; row < end; row += batch) executor.run(sample_rows(samples, row, batch));
  };
  if (whole > 0) run(0, whole, kCalibrationBatch);
  if (whole < count) run(whole, count, count - whole);
}

}  // namespace qb
