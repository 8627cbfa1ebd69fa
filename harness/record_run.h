// From the journal to the record that run files and tables are made of.
#pragma once
#include "harness/journal.h"
#include "harness/plan.h"
#include "reports/record/run_record.h"

namespace qb {

/// Everything settled so far; units without a record are `pending`, with `pending_reason`. Depends on plan and journal
/// only: the same journal gives the same record. Throws DataError when the journal holds what no run wrote.
RunRecord record_run(const Plan& plan, const Journal& journal, const std::string& pending_reason = "");

}  // namespace qb
