// Small valid records that tests change and send around.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "kernels/base/digest.h"
#include "workers/records/hardware_profile.h"
#include "workers/records/measurement.h"
#include "workers/records/unit.h"

namespace qb {

inline WorkUnit sample_unit() {
  WorkUnit unit;
  unit.combination = {"tiny", "rtn:w4", "best", "best", 1, 1};
  unit.isa = "best";
  unit.model.name = "tiny";
  unit.model.format = "onnx";
  unit.model.files = {{"tiny/model.onnx", sha256_hex("model"), 123}};
  unit.model.dataset = {"glyphs", "glyphs", "test", {}, "{}"};
  unit.model = manifest_from_json(to_json(unit.model), "sample", Blame::user);  // with the defaults written out
  unit.seed = 0xfedcba9876543210u;
  unit.id = unit_id(unit);
  return unit;
}

/// Settled as ok, with three judged items, two hot blocks and one layer.
inline Measurement sample_measurement() {
  Measurement m;
  m.unit = sha256_hex("unit");
  m.machine_key = sha256_hex("machine");
  m.worker = "w-1";
  m.epoch = 7;
  m.outcome = Outcome::ok;
  m.started_utc = "2026-01-31T12:34:56Z";
  m.wall_s = 1.5;
  m.kernels = "gemm_f32_ref";
  m.dataset = "glyphs test, 3 samples";
  m.task = "classification";
  m.items = {{0, 1, 2}, {3, 4, 5},          {3, 4, 6},           {3, 0, 6},         {1, 1, 0},
             {1, 0, 1}, {-0.1, -2.5, -0.7}, {-0.2, -2.25, -0.1}, {0.01, 0.002, 0.5}};
  m.output_sqnr_db = 31.25;
  m.output_cosine = 0.999;
  m.kernel_error = 0;
  m.kernel_bound = 1e-6;
  m.repeatable = true;
  m.hot = {{1000.5, 990.25}, {10, 10}, 1, "width"};
  m.load_s = 0.1;
  m.packed_bytes = 4096;
  m.bits_per_weight = 4.5;
  LayerMeasurement layer;
  layer.node = "conv1";
  layer.op = "Conv";
  layer.shape = "[8, 9]";
  layer.weight_sqnr_db = 20.5;
  layer.time_share = 0.25;
  m.layers = {layer};
  m.noise.cpu_over_wall = 0.999;
  m.noise.involuntary_switches = 2;
  return m;
}

inline HardwareProfile sample_profile() {
  HardwareProfile profile;
  profile.machine_key = sha256_hex("machine");
  profile.host = "here";
  profile.cpu_model = "A Processor";
  profile.processors = 2;
  profile.l3_bytes = 32 << 20;
  profile.isa = "avx2";
  profile.peak_bf16_ops_per_s = kMissing;
  profile.timer_cost_ns = 20.5;
  return profile;
}

}  // namespace qb
