// Does a run file agree with itself? What a reader of its numbers takes for granted, derived again from raw samples.
#pragma once
#include <string>
#include <vector>

#include "reports/record/run_record.h"

namespace qb {

/// One sentence per disagreement, in plan order; empty when there is none. Looks at provenance, unit ids, plan against
/// measurements, outcomes against numbers, raw samples (finite, enough, stopped as said), items, errors against bounds,
/// sizes, and builds. A pending unit is not a disagreement.
std::vector<std::string> check_run(const RunRecord& run);

}  // namespace qb
