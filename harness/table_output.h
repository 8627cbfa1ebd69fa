// The table of a run in the format that the user asked for.
#pragma once
#include <cstdio>
#include <string>

#include "harness/run_study.h"
#include "reports/record/run_record.h"

namespace qb {

/// Columns of the terminal, or what COLUMNS says; `otherwise` when the output is no terminal and nothing is said.
int output_columns(int otherwise);

std::string table_text(const RunRecord& record, TableFormat format);
void print_table(const RunRecord& record, TableFormat format, std::FILE* stream);

}  // namespace qb
