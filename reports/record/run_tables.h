// A run record as the tables of a run file, and back. Knows the schema and no HDF5.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "reports/record/hdf5_columns.h"
#include "reports/record/run_record.h"

namespace qb {

/// Raised whenever a table or column is added; a new column names the version in its `since`. Nothing is ever removed.
inline constexpr int kRunSchemaVersion = 1;

/// One table of the schema as a file has to have it.
struct TableSchema {
  std::string name, title;
  std::vector<Field> fields;
  bool flat = false;
};

/// Everything that stands in a run file but HDF5's own book-keeping.
struct RunTables {
  int version = kRunSchemaVersion;
  std::vector<std::pair<std::string, std::string>> attributes;  ///< of the root, in the order of attribute_names()
  std::string study;                                            ///< the study's text as the user wrote it
  std::vector<TableBytes> tables;                               ///< in the order of run_schema()
};

const std::vector<std::string>& attribute_names();
std::vector<TableSchema> run_schema(
    int version);  ///< what a file of that version holds; 1 <= version <= kRunSchemaVersion

/// Throws InputError for what a run file cannot hold: text that is not UTF-8, item or sample columns of unequal length.
RunTables tables_of(const RunRecord& record);
/// Throws DataError for rows that contradict one another. The inverse of tables_of.
RunRecord record_of(const RunTables& tables);

/// SHA-256 over names, types and bytes of everything but the units' wording: equal content, equal digest.
std::string content_digest(const RunTables& tables);

}  // namespace qb
