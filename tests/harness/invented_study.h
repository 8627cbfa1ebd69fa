// Studies and measurements that need no files.
#pragma once
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "harness/study.h"
#include "workers/wire/protocol.h"

namespace qb {

/// A study over invented models: the plan reads no file.
inline Study invented_study(std::size_t models, std::size_t quantizers, std::size_t batches) {
  Study study;
  study.path = "invented.json";
  study.name = "invented";
  for (std::size_t i = 0; i < models; ++i) {
    ModelManifest model;
    model.name = fmt::format("model-{}", i);
    model.format = "onnx";
    model.files = {{fmt::format("models/{}.onnx", i), std::string(64, char('0' + i % 10)), 1000 + i}};
    model.dataset.kind = "glyphs";
    model.dataset.name = "glyphs";
    model.dataset.options = "{}";
    study.models.push_back(
        manifest_from_json(to_json(model), model.name, Blame::user));  // with all options spelled out
  }
  for (std::size_t i = 0; i < quantizers; ++i) study.quantizers.push_back(fmt::format("rtn:w4@scale=\"{}\"", i));
  for (std::size_t i = 0; i < batches; ++i) study.batch.push_back(std::int64_t(i) + 1);
  HardwareEntry best, capped;
  best.name = "best";
  capped.name = "old";
  capped.isa = "avx2";
  study.hardware = {best, capped};
  study.kernels = {"best", "reference"};
  study.threads = {1};
  return study;
}

/// What a worker that measured nothing says of a unit.
inline Measurement invented_measurement(const Lease& lease, const std::string& worker, const std::string& machine_key) {
  Measurement measurement;
  measurement.unit = lease.unit.id;
  measurement.epoch = lease.epoch;
  measurement.worker = worker;
  measurement.machine_key = machine_key;
  measurement.outcome = Outcome::ok;
  measurement.started_utc = "2026-01-01T00:00:00Z";
  measurement.wall_s = 0.001;
  measurement.task = "classification";
  measurement.dataset = "glyphs test 0";
  return measurement;
}

inline Registration invented_registration(const std::string& name) {
  Registration registration;
  registration.name = name;
  registration.incarnation = "incarnation of " + name;
  registration.profile.machine_key = std::string(64, 'a');
  registration.profile.cpu_model = "Invented CPU 3000";
  registration.profile.host = "host-" + name;
  registration.profile.build = "test build";
  registration.profile.processors = 2;
  registration.profile.threads_per_core = registration.profile.sockets = 1;
  registration.profile.cpu_family = registration.profile.cpu_model_number = registration.profile.cpu_stepping = 1;
  return registration;
}

}  // namespace qb
