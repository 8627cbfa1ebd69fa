// Everything that one run file holds, in memory.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "workers/records/hardware_profile.h"
#include "workers/records/measurement.h"
#include "workers/records/unit.h"

namespace qb {

/// One unit of the plan and what became of it. Without a measurement the unit was never settled (`pending`).
struct PlanRow {
  WorkUnit unit;
  std::string status;  ///< name_of(Outcome), or "pending"
  std::string reason;
  int attempts = 0;
  std::string reproduce;  ///< command line that measures this unit again
};

struct ExcludedRow {
  Combination combination;
  std::string reason;
};

struct RunRecord {
  std::string run_id, study_name, study_text, plan_digest, build, created_utc, finished_utc;
  std::vector<PlanRow> plan;  ///< in plan order
  std::vector<ExcludedRow> excluded;
  std::vector<HardwareProfile> machines;  ///< sorted by machine key
  std::vector<Measurement> measurements;  ///< in plan order, one per settled unit, outcomes other than ok included
};

}  // namespace qb
