#include "reports/record/run_file.h"

#include <fmt/format.h>

#include <new>

#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "reports/record/guarded_child.h"
#include "reports/record/hdf5_file.h"
#include "reports/record/run_tables.h"

namespace qb {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kFormat = "quantbench run";

std::string bytes_of(const RunTables& run) {
  Hdf5Writer writer;
  writer.attribute("format", kFormat);
  writer.attribute("schema_version", std::int64_t(run.version));
  writer.attribute("content_sha256", content_digest(run));
  for (const auto& [name, value] : run.attributes) writer.attribute(name, value);
  writer.text("study", "The study as the user wrote it, JSON", run.study);
  const std::vector<TableSchema> schema = run_schema(run.version);
  QB_EXPECTS(schema.size() == run.tables.size());
  for (std::size_t i = 0; i < schema.size(); ++i) {
    QB_EXPECTS(schema[i].name == run.tables[i].name);
    writer.table(run.tables[i], schema[i].title);
  }
  return writer.take();
}

/// Every read goes through here. Throws DataError without the file's name.
RunTables tables_from(std::string_view bytes) {
  Hdf5Reader reader(bytes);
  if (reader.attribute_text("format") != kFormat) throw DataError("it is not a run file of quantbench");
  const std::int64_t version = reader.attribute_number("schema_version");
  if (version < 1 || version > kRunSchemaVersion)
    throw DataError(
        fmt::format("its schema version is {}; this program reads versions 1 to {}", version, kRunSchemaVersion));
  RunTables run;
  run.version = int(version);
  for (const std::string& name : attribute_names()) run.attributes.emplace_back(name, reader.attribute_text(name));
  run.study = reader.text("study");
  for (const TableSchema& table : run_schema(run.version))
    run.tables.push_back(reader.table(table.name, table.fields, table.flat));
  if (content_digest(run) != reader.attribute_text("content_sha256"))
    throw DataError("its content is not what was written: the digest in attribute 'content_sha256' does not fit");
  return run;
}

RunRecord record_from(const fs::path& path, std::string_view bytes) {
  try {
    return record_of(tables_from(bytes));
  } catch (const DataError& error) {
    throw DataError(fmt::format("run file '{}' cannot be read: {}", path.string(), error.what()));
  } catch (const std::bad_alloc&) {
    throw DataError(fmt::format("run file '{}' cannot be read: it claims more data than memory holds", path.string()));
  }
}

/// What differs between `run` and the file at `written`; empty: nothing.
std::string fault_of(const fs::path& written, const RunTables& run) {
  try {
    const RunTables again = tables_from(read_file(written));
    return content_digest(again) == content_digest(run) ? "" : "what was read back is not what was written";
  } catch (const DataError& error) {
    return fmt::format("reading it back failed: {}", error.what());
  }
}

}  // namespace

void write_run_file(const fs::path& path, const RunRecord& record) {
  const RunTables run = tables_of(record);
  std::string bytes;
  try {
    bytes = bytes_of(run);
  } catch (const DataError& error) {
    throw InputError(fmt::format("run file '{}' cannot be written: {}", path.string(), error.what()));
  }
  write_file_verified(path, bytes, [&](const fs::path& written) { return fault_of(written, run); });
}

RunRecord read_run_file(const fs::path& path) { return record_from(path, read_file(path)); }

RunRecord read_run_file_guarded(const fs::path& path, const ReadLimits& limits) {
  const std::string bytes = read_file(path);
  const ChildReport report = run_guarded({limits.seconds, limits.memory_bytes}, [&] { record_from(path, bytes); });
  if (!report.finished)
    throw DataError(
        fmt::format("run file '{}' cannot be read: the process that read it {}", path.string(), report.message));
  if (!report.message.empty()) throw DataError(report.message);
  return record_from(path, bytes);
}

}  // namespace qb
