#include "reports/record/run_tables.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "kernels/base/digest.h"
#include "kernels/base/error.h"
#include "kernels/base/text.h"
#include "reports/record/run_columns.h"

namespace qb {

const std::vector<std::string>& attribute_names() {
  static const std::vector<std::string> names = {"run_id", "study_name",  "plan_digest",
                                                 "build",  "created_utc", "finished_utc"};
  return names;
}

std::vector<TableSchema> run_schema(int version) {
  QB_EXPECTS(version >= 1 && version <= kRunSchemaVersion);
  return {
      {"models", "Models and data sets of the plan, named by digests", fields_of<ModelRow>(model_columns(), version)},
      {"plan", "Every unit of the plan, in plan order", fields_of<PlanTableRow>(plan_columns(), version)},
      {"excluded", "Combinations that the plan leaves out", fields_of<ExcludedRow>(excluded_columns(), version)},
      {"machines", "Machines that measured", fields_of<HardwareProfile>(machine_columns(), version)},
      {"measurements", "One row per settled unit, in plan order",
       fields_of<MeasurementRow>(measurement_columns(), version)},
      {"noise", "Quiet of the machine, one row per measurement", fields_of<NoiseRow>(noise_columns(), version)},
      {"layers", "Layers of the measured models", fields_of<LayerRow>(layer_columns(), version)},
      {"items", "Paired outcomes of the same samples, float and quantized",
       fields_of<ItemRow>(item_columns(), version)},
      {"samples/time_ns", "Duration of each timed block", {{"time_ns", "ns", ColumnType::float64, 8}}, true},
      {"samples/iterations", "Runs of one batch in each timed block", {{"iterations", "", ColumnType::int64, 8}}, true},
      {"samples/cold", "1: weights came from memory, 0: from the cache", {{"cold", "", ColumnType::flag, 1}}, true},
      {"samples/warmup", "1: kept but not used", {{"warmup", "", ColumnType::flag, 1}}, true},
      {"long_texts", "Texts that are wider than their column", fields_of<LongTextRow>(long_text_columns(), version)},
      {"long_text_bytes", "Their bytes, UTF-8", {{"byte", "", ColumnType::byte, 1}}, true},
  };
}

namespace {

/// Collects everything that hangs below the measurements, in their order.
struct Flattened {
  std::vector<MeasurementRow> measurements;
  std::vector<NoiseRow> noise;
  std::vector<LayerRow> layers;
  std::vector<ItemRow> items;
  std::vector<SampleRow> samples;
};

void append_samples(const SampleSet& set, bool cold, std::int64_t& offset, std::int64_t& count, const std::string& unit,
                    std::vector<SampleRow>& samples) {
  if (set.iterations.size() != set.time_ns.size() || set.warmup < 0 || set.warmup > std::ssize(set.time_ns))
    throw InputError(
        fmt::format("unit '{}': {} times, {} iteration counts and {} warm-up blocks do not fit one another", unit,
                    set.time_ns.size(), set.iterations.size(), set.warmup));
  offset = std::ssize(samples);
  count = std::ssize(set.time_ns);
  for (std::size_t i = 0; i < set.time_ns.size(); ++i)
    samples.push_back({set.time_ns[i], set.iterations[i], cold, std::int64_t(i) < set.warmup});
}

void append_items(const ItemColumns& items, MeasurementRow& row, std::int32_t number, std::vector<ItemRow>& all) {
  const std::size_t n = items.index.size();
  if (items.float_top1.size() != n || items.top1.size() != n || items.target.size() != n ||
      items.float_hit5.size() != n || items.hit5.size() != n || items.float_log_likelihood.size() != n ||
      items.log_likelihood.size() != n || items.kl.size() != n)
    throw InputError(fmt::format("unit '{}': the columns of its items differ in length", row.facts.unit));
  row.item_offset = std::ssize(all);
  row.item_count = std::int64_t(n);
  for (std::size_t i = 0; i < n; ++i)
    all.push_back({number, items.index[i], items.float_top1[i], items.top1[i], items.target[i],
                   items.float_hit5[i] != 0, items.hit5[i] != 0, items.float_log_likelihood[i], items.log_likelihood[i],
                   items.kl[i]});
}

Flattened flatten(const std::vector<Measurement>& measurements) {
  Flattened flat;
  for (const Measurement& m : measurements) {
    const auto number = std::int32_t(flat.measurements.size());
    MeasurementRow& row = flat.measurements.emplace_back();
    row.facts = m;
    row.outcome = name_of(m.outcome);
    append_samples(m.hot, false, row.hot_offset, row.hot_count, m.unit, flat.samples);
    append_samples(m.cold, true, row.cold_offset, row.cold_count, m.unit, flat.samples);
    append_items(m.items, row, number, flat.items);
    row.layer_offset = std::ssize(flat.layers);
    row.layer_count = std::ssize(m.layers);
    for (const LayerMeasurement& layer : m.layers) flat.layers.push_back({m.unit, layer});
    flat.noise.push_back({m.unit, m.noise});
    row.facts.items = {};
    row.facts.layers.clear();
    row.facts.hot.time_ns = row.facts.cold.time_ns = {};
    row.facts.hot.iterations = row.facts.cold.iterations = {};
  }
  return flat;
}

template <class Value>
TableBytes flat_table(const TableSchema& schema, const std::vector<SampleRow>& samples, Value SampleRow::*member) {
  TableBytes table{schema.name, true, schema.fields, samples.size(), {}};
  table.bytes.resize(samples.size() * schema.fields.front().bytes);
  LongTexts no_texts;
  for (std::size_t i = 0; i < samples.size(); ++i)
    put_cell(table, schema.fields.front(), i, i * schema.fields.front().bytes, &(samples[i].*member), no_texts);
  return table;
}

/// Each distinct manifest once; `plan[i].model_row` is its row.
std::vector<ModelRow> model_rows(std::vector<PlanTableRow>& plan) {
  std::vector<ModelRow> models;
  std::map<std::string, std::int32_t> known;
  for (PlanTableRow& row : plan) {
    const ModelManifest& manifest = row.row.unit.model;
    std::string text = canonical_text(to_json(manifest));
    const auto [place, is_new] = known.emplace(text, std::int32_t(models.size()));
    row.model_row = place->second;
    if (!is_new) continue;
    const DatasetManifest& data = manifest.dataset;
    models.push_back({manifest.name, manifest.format, std::string(name_of(manifest.task)), model_digest(manifest),
                      data.name, data.kind, data.split, data_digest(manifest), std::move(text)});
  }
  return models;
}

constexpr std::size_t kLongestRootText = 32 << 10, kLongestStudy = 64 << 20;

/// The pool of texts that were wider than their cells: an index, and the bytes.
void append_long_texts(const LongTexts& texts, std::vector<TableBytes>& tables) {
  std::vector<LongTextRow> rows;
  TableBytes bytes{"long_text_bytes", true, {{"byte", "", ColumnType::byte, 1}}, 0, {}};
  for (const auto& [place, text] : texts) {
    const auto& [table, column, row] = place;
    rows.push_back({table, column, row, std::ssize(bytes.bytes), std::ssize(text)});
    bytes.bytes += text;
  }
  bytes.rows = bytes.bytes.size();
  LongTexts none;
  tables.push_back(encode_table<LongTextRow>("long_texts", rows, long_text_columns(), none));
  QB_EXPECTS(none.empty());
  tables.push_back(std::move(bytes));
}

void check_text(std::string_view what, const std::string& text, std::size_t most) {
  if (text.size() > most || text.find('\0') != std::string::npos || !valid_utf8(text))
    throw InputError(fmt::format("the run's {} must be UTF-8 text without NUL of at most {} bytes", what, most));
}

}  // namespace

RunTables tables_of(const RunRecord& record) {
  RunTables run;
  const std::string* values[] = {&record.run_id, &record.study_name,  &record.plan_digest,
                                 &record.build,  &record.created_utc, &record.finished_utc};
  for (std::size_t i = 0; i < attribute_names().size(); ++i) {
    check_text(attribute_names()[i], *values[i], kLongestRootText);
    run.attributes.emplace_back(attribute_names()[i], *values[i]);
  }
  check_text("study text", record.study_text, kLongestStudy);
  run.study = record.study_text;

  std::vector<PlanTableRow> plan;
  for (const PlanRow& row : record.plan) plan.push_back({row, row.unit.model.dataset.name, 0});
  const std::vector<ModelRow> models = model_rows(plan);
  const Flattened flat = flatten(record.measurements);
  LongTexts long_texts;
  run.tables.push_back(encode_table<ModelRow>("models", models, model_columns(), long_texts));
  run.tables.push_back(encode_table<PlanTableRow>("plan", plan, plan_columns(), long_texts));
  run.tables.push_back(encode_table<ExcludedRow>("excluded", record.excluded, excluded_columns(), long_texts));
  run.tables.push_back(encode_table<HardwareProfile>("machines", record.machines, machine_columns(), long_texts));
  run.tables.push_back(
      encode_table<MeasurementRow>("measurements", flat.measurements, measurement_columns(), long_texts));
  run.tables.push_back(encode_table<NoiseRow>("noise", flat.noise, noise_columns(), long_texts));
  run.tables.push_back(encode_table<LayerRow>("layers", flat.layers, layer_columns(), long_texts));
  run.tables.push_back(encode_table<ItemRow>("items", flat.items, item_columns(), long_texts));
  const std::vector<TableSchema> schema = run_schema(kRunSchemaVersion);
  run.tables.push_back(flat_table(schema[8], flat.samples, &SampleRow::time_ns));
  run.tables.push_back(flat_table(schema[9], flat.samples, &SampleRow::iterations));
  run.tables.push_back(flat_table(schema[10], flat.samples, &SampleRow::cold));
  run.tables.push_back(flat_table(schema[11], flat.samples, &SampleRow::warmup));
  append_long_texts(long_texts, run.tables);
  return run;
}

std::string content_digest(const RunTables& run) {
  Sha256 digest;
  const auto add = [&](std::string_view text) { digest.update(fmt::format("{}:", text.size())).update(text); };
  add(fmt::format("schema {}", run.version));
  for (const auto& [name, value] : run.attributes) {
    add(name);
    add(value);
  }
  add(run.study);
  for (const TableBytes& table : run.tables) {
    add(fmt::format("{} {} {}", table.name, table.fields.size(), table.rows));
    for (const Field& field : table.fields) add(fmt::format("{} {} {}", field.name, int(field.type), field.bytes));
    add(table.bytes);
  }
  return digest.hex();
}

}  // namespace qb
