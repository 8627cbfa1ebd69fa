// The table of a run in the format that the user asked for.
#pragma once
#include <cstdio>
#include <string>

#include "harness/run_study.h"
#include "reports/record/run_record.h"

namespace qb {

std::string table_text(const RunRecord& record, TableFormat format);
void print_table(const RunRecord& record, TableFormat format, std::FILE* stream);

}  // namespace qb
