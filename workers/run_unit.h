// One unit in, one measurement out: load, quantize, prove, judge, time, weigh. Runs in a child process of its own.
#pragma once
#include <functional>
#include <string_view>

#include "models/manifest.h"
#include "workers/records/measurement.h"
#include "workers/records/unit.h"

namespace qb {

/// Never throws for what a unit may do wrong: that becomes an Outcome with a reason and no numbers.
/// `progress` receives the name of each phase as it begins.
Measurement run_unit(const WorkUnit& unit, const FileSource& files,
                     const std::function<void(std::string_view)>& progress);

}  // namespace qb
