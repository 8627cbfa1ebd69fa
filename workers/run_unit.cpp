#include "workers/run_unit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <new>
#include <optional>

#include "kernels/base/clock.h"
#include "kernels/base/error.h"
#include "kernels/base/text.h"
#include "kernels/peers/peers.h"
#include "models/executor.h"
#include "quantizers/quantizer.h"
#include "workers/accuracy.h"
#include "workers/host.h"
#include "workers/memory_probe.h"
#include "workers/profile.h"
#include "workers/prove.h"
#include "workers/timing.h"

namespace qb {

namespace {

constexpr double kMemoryPassS = 300;
constexpr double kPeakAgainS = 1.0;

/// Ends a unit with an outcome that is nobody's error.
struct Settled {
  Outcome outcome;
  std::string reason;
};

double seconds_since(std::int64_t begin_ns) { return double(now_ns() - begin_ns) * 1e-9; }

/// The features that the unit may use, or an end: a cap that names what the machine lacks would measure something else.
Isa usable_isa(const std::string& cap) {
  const std::string host = to_text(detected_isa());
  const std::vector<std::string_view> features = split(host, '+');
  const bool named =
      cap == "best" || cap == "scalar" || std::find(features.begin(), features.end(), cap) != features.end();
  if (!named) throw Unsupported(fmt::format("this machine has {}, not {}", host, cap));
  return host_isa() & isa_cap(cap);
}

/// Everything of one unit while it is measured, in the order in which run() fills it.
class UnitRun {
 public:
  UnitRun(const WorkUnit& unit, const FileSource& files, const std::function<void(std::string_view)>& progress,
          Measurement& result)
      : unit_(unit), files_(files), progress_(progress), result_(result) {}
  void run();

 private:
  void begin(std::string_view phase) const {
    if (progress_) progress_(phase);
  }
  void load();
  void quantize();
  void weigh();
  void prepare();
  void prove_kernels();
  void judge_method();
  void time();
  void check_plausible(const Timing& timing);
  void report_layers();

  const WorkUnit& unit_;
  const FileSource& files_;
  const std::function<void(std::string_view)>& progress_;
  Measurement& result_;
  ExecutorOptions options_;
  HardwareProfile profile_;
  Model float_model_;
  Dataset data_;
  QuantizedModel quantized_;
  std::unique_ptr<Executor> executor_;
  Proof proof_;
  Judgement judgement_;
  std::vector<double> time_shares_;
};

void UnitRun::load() {
  begin("load");
  options_.isa = usable_isa(unit_.isa);
  options_.kernel = unit_.combination.kernel;
  options_.threads = unit_.combination.threads;
  options_.batch = unit_.combination.batch;
  check_kernel_choice(options_.kernel);
  choose_processors(options_.threads);  // too few: known before any work
  profile_ = read_profile();
  recall_peaks(profile_, default_cache_folder());
  result_.machine_key = profile_.machine_key;
  // In a copy as the peak is: a copy counts only the pages that it touches or inherits.
  result_.base_bytes = measure_peak([] {}, [] {}, kMemoryPassS).peak_bytes;

  const std::int64_t begin_ns = now_ns();
  float_model_ = load_model(unit_.model, files_);
  result_.load_s = seconds_since(begin_ns);
  const std::int64_t wanted = std::max({unit_.measure.accuracy_samples, options_.batch, kProofSamples});
  data_ = load_dataset(unit_.model, "test", wanted, unit_.seed, files_, &float_model_);
  if (data_.count() == 0) throw DataError(fmt::format("dataset '{}' has no samples", data_.name));
  const std::int64_t judged = std::min(unit_.measure.accuracy_samples, data_.count());
  result_.dataset = fmt::format("{} {}, {} samples", data_.name, data_.split, judged);
  result_.task = name_of(float_model_.task);
}

/// On one thread: the memory pass forks, and must find this process without others.
void UnitRun::quantize() {
  begin("quantize");
  const QuantSpec spec = parse_quant_spec(unit_.combination.quantizer);
  Tensor calibration;
  if (needs_calibration(spec) && unit_.measure.calibration_samples > 0)
    calibration =
        load_dataset(unit_.model, "calibration", unit_.measure.calibration_samples, unit_.seed, files_, &float_model_)
            .inputs;
  const std::int64_t begin_ns = now_ns();
  quantized_ = quantize_model(float_model_, spec, calibration, /*threads=*/1);
  result_.quantize_s = seconds_since(begin_ns);
  const ModelBytes bytes = model_bytes(quantized_.model);
  result_.packed_bytes = bytes.packed;
  result_.other_bytes = bytes.other;
  result_.bits_per_weight = bytes.bits_per_weight;
  result_.bits_per_parameter = bytes.bits_per_parameter;
}

/// Peak memory of preparing and running the quantized model alone.
void UnitRun::weigh() {
  begin("weigh");
  Tensor input = batch_of(data_, 0, options_.batch);
  const auto release = [&] {
    float_model_ = {};
    quantized_.prepared.reset();
    data_ = {};
  };
  const auto work = [&] {
    Executor executor(quantized_.model, options_);
    executor.run(input);
    executor.run(input);
  };
  const MemoryPass pass = measure_peak(release, work, kMemoryPassS);
  result_.peak_bytes = pass.peak_bytes;
  if (!pass.missing.empty()) fmt::print(stderr, "peak memory of unit {} is missing: {}\n", unit_.id, pass.missing);
}

void UnitRun::prepare() {
  begin("prepare");
  const std::int64_t begin_ns = now_ns();
  executor_ = std::make_unique<Executor>(quantized_.model, options_);
  result_.prepare_s = seconds_since(begin_ns);
  std::vector<std::string> names, described;
  for (const ExecutorLayer& layer : executor_->layers())
    if (std::find(names.begin(), names.end(), layer.kernel->name) == names.end()) {
      names.emplace_back(layer.kernel->name);
      const std::string library = describe_peer(*layer.kernel);
      described.push_back(library.empty() ? names.back() : fmt::format("{} ({})", names.back(), library));
    }
  result_.kernels = join(described, " + ");
  result_.prepared_bytes = executor_->prepared_bytes();
  const std::string& choice = options_.kernel;
  if (choice != "best" && choice != "reference" && std::find(names.begin(), names.end(), choice) == names.end())
    throw Unsupported(fmt::format("kernel {} computes no layer of this model under quantizer '{}'", choice,
                                  unit_.combination.quantizer));
}

void UnitRun::prove_kernels() {
  begin("prove");
  proof_ = prove(*executor_, quantized_.model, options_, data_);
  result_.scratch_bytes = executor_->scratch_bytes();
  if (!proof_.failed.empty()) throw Settled{Outcome::failed, proof_.failed};
  if (!proof_.mistrusted.empty()) throw Settled{Outcome::mistrusted, proof_.mistrusted};
  result_.repeatable = proof_.repeatable;
  if (proof_.layers.empty()) return;
  result_.kernel_error = proof_.layers[proof_.worst].error;
  result_.kernel_bound = proof_.layers[proof_.worst].bound;
}

void UnitRun::judge_method() {
  if (unit_.measure.accuracy_samples == 0) return;
  begin("judge");
  ExecutorOptions options = options_;
  options.kernel = "best";
  Executor float_run(float_model_, options);
  judgement_ = judge(float_run, *executor_, float_model_.graph, data_, unit_.measure.accuracy_samples, options_.batch);
  result_.items = judgement_.items;
  result_.output_sqnr_db = judgement_.output_sqnr_db;
  result_.output_cosine = judgement_.output_cosine;
  // Steps before quantizing may give the results between layers other scales: those are compared with what they made.
  if (!quantized_.prepared) return judge_layers(float_run, *executor_, data_, options_.batch, judgement_);
  Executor prepared_run(*quantized_.prepared, options);
  judge_layers(prepared_run, *executor_, data_, options_.batch, judgement_);
}

void UnitRun::time() {
  const Tensor input = batch_of(data_, 0, options_.batch);
  const Timing timing = time_unit(
      *executor_, input, unit_, profile_.l3_bytes, progress_ ? progress_ : [](std::string_view) {});
  result_.noise = timing.noise;
  const std::span<const Tensor> outputs = executor_->outputs();
  const Tensor timed = to_f32(outputs[0]);
  const std::span<const float> values = timed.as<float>();
  if (values.size() != proof_.first_output.size() ||
      std::memcmp(values.data(), proof_.first_output.data(), values.size_bytes()) != 0)
    throw Settled{Outcome::failed, "the output of the timed runs differs from the proven one"};
  check_plausible(timing);
  result_.hot = timing.hot;
  result_.cold = timing.cold;
  time_shares_ = time_shares(*executor_, input);
}

/// A peak that was measured on a busy machine is too low: it is measured again before it convicts.
void UnitRun::check_plausible(const Timing& timing) {
  const auto weight_bytes = double(executor_->prepared_bytes());
  if (implausible(timing, profile_, proof_.operations, weight_bytes).empty()) return;
  HardwareProfile again = profile_;
  {
    const HostLock alone(HostLock::Use::timing);
    measure_profile(again, kPeakAgainS);
  }
  profile_.peak_read_bytes_per_s = std::max(profile_.peak_read_bytes_per_s, again.peak_read_bytes_per_s);
  profile_.peak_s8_ops_per_s = std::max(profile_.peak_s8_ops_per_s, again.peak_s8_ops_per_s);
  profile_.peak_f32_ops_per_s = std::max(profile_.peak_f32_ops_per_s, again.peak_f32_ops_per_s);
  const std::string doubt = implausible(timing, profile_, proof_.operations, weight_bytes);
  if (!doubt.empty()) throw Settled{Outcome::mistrusted, doubt};
}

void UnitRun::report_layers() {
  const std::span<const ExecutorLayer> layers = executor_->layers();
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const ExecutorLayer& layer = layers[i];
    LayerMeasurement row;
    row.node = layer.node_name;
    row.op = layer.op;
    row.shape = fmt::format("[{}, {}]", layer.where.n, layer.where.k);
    row.kernel = layer.kernel->name;
    row.format = to_text(layer.packed->format);
    row.kernel_error = proof_.layers[i].error;
    row.kernel_bound = proof_.layers[i].bound;
    row.time_share = time_shares_[i];
    const auto report = std::find_if(quantized_.layers.begin(), quantized_.layers.end(),
                                     [&](const LayerReport& one) { return one.where.weight == layer.where.weight; });
    if (report != quantized_.layers.end()) {
      row.bits_per_weight = report->bits_per_weight;
      row.weight_sqnr_db = std::min(kLargestDb, report->weight_sqnr_db);
      row.skipped = report->skipped;
      row.prepared = report->prepared;
      if (report->skipped.empty()) row.quantize_s = report->seconds;
      if (report->peak_bytes >= 0) row.quantize_bytes = double(report->peak_bytes);
    }
    const auto judged = std::find(judgement_.nodes.begin(), judgement_.nodes.end(), layer.node_name);
    if (judged != judgement_.nodes.end())
      row.output_sqnr_db = judgement_.node_output_sqnr_db[std::size_t(judged - judgement_.nodes.begin())];
    result_.layers.push_back(std::move(row));
  }
}

void UnitRun::run() {
  begin("wait");
  {
    const HostLock beside_others(HostLock::Use::compute);
    load();
    quantize();
    weigh();
    prepare();
    prove_kernels();
    judge_method();
  }
  time();
  report_layers();
  result_.outcome = Outcome::ok;
}

}  // namespace

Measurement run_unit(const WorkUnit& unit, const FileSource& files,
                     const std::function<void(std::string_view)>& progress) {
  Measurement result;
  result.unit = unit.id;
  result.started_utc = utc_text();
  const std::int64_t begin_ns = now_ns();
  const auto settled = [&](Outcome outcome, const std::string& reason) {
    result.wall_s = seconds_since(begin_ns);
    return without_numbers(result, outcome, reason.empty() ? "it ended without a word" : reason);
  };
  try {
    UnitRun(unit, files, progress, result).run();
  } catch (const Settled& end) {
    return settled(end.outcome, end.reason);
  } catch (const Unsupported& error) {
    return settled(Outcome::unsupported, error.what());
  } catch (const std::bad_alloc&) {
    Measurement starved = settled(Outcome::failed, unit.limits.memory_bytes > 0
                                                       ? fmt::format("out of memory under the limit of {}",
                                                                     bytes_text(double(unit.limits.memory_bytes)))
                                                       : "out of memory");
    starved.passing = true;
    return starved;
  } catch (const std::exception& error) {
    return settled(Outcome::failed, error.what());
  }
  result.wall_s = seconds_since(begin_ns);
  return result;
}

}  // namespace qb
