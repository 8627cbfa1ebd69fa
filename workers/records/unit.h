// What is to be measured: the unit of work that a coordinator leases and a worker answers.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/json.h"
#include "models/manifest.h"

namespace qb {

/// One point of the product of a study's axes.
struct Combination {
  std::string model, quantizer, hardware, kernel;  ///< names as the study has them; quantizer is canonical spec text
  std::int64_t batch = 1;
  int threads = 1;
  bool operator==(const Combination&) const = default;
};

/// How much to measure. Defaults are those of a study that says nothing.
struct MeasureOptions {
  std::int64_t accuracy_samples = 1000;  ///< 0: no judging
  std::int64_t calibration_samples = 256;
  std::int64_t min_samples = 15, max_samples = 200;  ///< timed blocks, hot; cold takes half as many
  double relative_width = 0.02;                      ///< stop when the median's interval is narrower
  double time_limit_s = 1.0;                         ///< of the timed section, hot and cold together
  bool cold = true;
};

struct UnitLimits {
  double seconds = 600;           ///< wall time of one attempt, after which the child is ended
  std::int64_t memory_bytes = 0;  ///< address-space limit of the child; 0: none
};

struct WorkUnit {
  std::string id;  ///< SHA-256 over canonical_text(to_json(unit)) without the id
  Combination combination;
  std::string isa;    ///< cap from the hardware axis: a name of isa_cap()
  std::string match;  ///< the worker profile must contain this text in `cpu_model` or host name; "" accepts all
  ModelManifest model;
  std::uint64_t seed = 1;
  MeasureOptions measure;
  UnitLimits limits;
};

Json to_json(const WorkUnit& unit);
WorkUnit unit_from_json(const Json& value, const std::string& where, Blame blame);  ///< verifies the id
std::string unit_id(const WorkUnit& unit);

}  // namespace qb
