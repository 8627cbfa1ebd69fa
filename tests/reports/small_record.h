// A hand-made run with every kind of row, small enough to be damaged byte by byte.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "kernels/base/digest.h"
#include "reports/record/run_record.h"

namespace qb {

inline WorkUnit small_unit(const std::string& quantizer, std::int64_t batch) {
  WorkUnit unit;
  unit.combination = {"tiny", quantizer, "best", "best", batch, 1};
  unit.isa = "best";
  unit.model.name = "tiny";
  unit.model.format = "onnx";
  unit.model.files = {{"tiny/model.onnx", sha256_hex("model"), 123}};
  unit.model.dataset = {"glyphs", "glyphs", "test", {}, "{}"};
  unit.model = manifest_from_json(to_json(unit.model), "small unit", Blame::user);  // spells out the data set's options
  unit.seed = 0xfedcba9876543210u;
  unit.measure.accuracy_samples = 4;
  unit.measure.min_samples = 8;
  unit.id = unit_id(unit);
  return unit;
}

/// Eight timed blocks of ten runs after one of warm-up; the median of a run is `run_ns`, the extremes are 3.5 % away.
inline SampleSet small_samples(double run_ns) {
  SampleSet set;
  set.time_ns.push_back(20 * run_ns);
  for (int i = 0; i < 8; ++i) set.time_ns.push_back(10 * run_ns * (1 + 0.01 * (i - 3.5)));
  set.iterations.assign(9, 10);
  set.warmup = 1;
  set.stopped_by = "samples";
  return set;
}

inline Measurement small_measurement(const std::string& unit, double run_ns, bool quantized) {
  Measurement m;
  m.unit = unit;
  m.machine_key = sha256_hex("machine");
  m.worker = "w-1";
  m.epoch = 7;
  m.outcome = Outcome::ok;
  m.started_utc = "2026-01-31T12:34:56Z";
  m.wall_s = 1.5;
  m.kernels = quantized ? "gemm_s8_int_ref" : "gemm_f32_ref";
  m.dataset = "glyphs test, 4 samples";
  m.task = "classification";
  m.items = {{0, 1, 2, 3},         {3, 4, 5, 1}, {3, 4, quantized ? 6 : 5, 1}, {3, 0, 5, 1},
             {1, 1, 1, 1},         {1, 0, 1, 1}, {-0.1, -2.5, -0.7, -0.25},    {-0.2, -2.25, -0.1, -0.5},
             {0.01, 0.002, 0.5, 0}};
  m.output_sqnr_db = quantized ? 31.25 : 999;
  m.output_cosine = 0.999;
  m.kernel_error = quantized ? 2e-8 : 0;
  m.kernel_bound = 1e-6;
  m.repeatable = true;
  m.hot = small_samples(run_ns);
  m.cold = small_samples(3 * run_ns);
  m.load_s = 0.1;
  m.quantize_s = kMissing;
  m.packed_bytes = quantized ? 4608 : 32768;
  m.other_bytes = 256;
  m.peak_bytes = 5 << 20;
  m.base_bytes = 3 << 20;
  m.bits_per_weight = quantized ? 4.5 : 32;
  LayerMeasurement layer;
  layer.node = "conv1";
  layer.op = "Conv";
  layer.shape = "[8, 9]";
  layer.weight_sqnr_db = 20.5;
  layer.time_share = 0.25;
  m.layers = {layer, layer};
  m.layers[1].node = "dense2";
  m.layers[1].skipped = "too small";
  m.noise.cpu_over_wall = 0.999;
  m.noise.involuntary_switches = 2;
  return m;
}

/// float and rtn:w4 are measured at batch 1; at batch 8 rtn:w4 is measured but noisy, float failed, and rtn:w2 was
/// never settled.
inline RunRecord small_record() {
  RunRecord run;
  run.run_id = "r-2026";
  run.study_name = "tiny study";
  run.study_text = "{ \"name\": \"tiny study\" }\n";
  run.plan_digest = sha256_hex("plan");
  run.build = "0.1.0 abc";
  run.created_utc = "2026-01-31T12:34:00Z";
  run.finished_utc = "2026-01-31T12:35:00Z";
  for (const auto& [quantizer, batch] :
       {std::pair{"rtn:w4", 1}, {"float", 1}, {"float", 8}, {"rtn:w4", 8}, {"rtn:w2", 8}})
    run.plan.push_back(
        {small_unit(quantizer, batch), "ok", "", 1, "quantbench run tiny.json --only " + std::string(quantizer)});
  run.measurements = {small_measurement(run.plan[0].unit.id, 500, true),
                      small_measurement(run.plan[1].unit.id, 1000, false), Measurement{},
                      small_measurement(run.plan[3].unit.id, 4000, true)};
  Measurement& failed = run.measurements[2];
  failed.unit = run.plan[2].unit.id;
  failed.machine_key = sha256_hex("machine");
  failed.outcome = Outcome::failed;
  failed.reason =
      "layer 'conv1': the kernel differs from its reference by 0.5, more than the 1e-06 that rounding explains; " +
      std::string(300, 'x') + " grün";
  failed.started_utc = "2026-01-31T12:34:57Z";
  run.plan[2].status = "failed";
  run.plan[2].reason = "the kernel differs from its reference | by 0.5";
  run.plan[2].attempts = 3;
  run.plan[4].status = "pending";
  run.plan[4].reason = "interrupted";
  run.measurements[3].noise.marked = "cpu time is 0.90 of wall time";
  run.excluded.push_back({{"tiny", "float", "avx2", "reference", 1, 1}, "excluded by the study"});
  HardwareProfile machine;
  machine.machine_key = sha256_hex("machine");
  machine.host = "here";
  machine.cpu_model = "A Processor";
  machine.processors = 2;
  machine.memory_bytes = std::int64_t(8) << 30;
  machine.l3_bytes = 32 << 20;
  machine.isa = "avx2";
  machine.kernel_release = "6.1";
  machine.compiler = "gcc 12.2";
  machine.flags = "-O3";
  machine.build = run.build;
  machine.peak_bf16_ops_per_s = kMissing;
  machine.timer_cost_ns = 20.5;
  run.machines.push_back(machine);
  return run;
}

}  // namespace qb
