#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kernels/base/error.h"
#include "reports/record/run_columns.h"
#include "reports/record/run_tables.h"

namespace qb {

namespace {

const TableBytes& table_named(const RunTables& run, std::string_view name) {
  const auto found =
      std::find_if(run.tables.begin(), run.tables.end(), [&](const TableBytes& t) { return t.name == name; });
  QB_EXPECTS(found != run.tables.end());
  return *found;
}

template <class Row>
std::vector<Row> decode(const RunTables& run, std::string_view name, std::span<const Column<Row>> columns,
                        const LongTexts& texts) {
  return decode_table<Row>(table_named(run, name), columns, run.version, texts);
}

LongTexts long_texts_of(const RunTables& run) {
  LongTexts texts;
  const std::string& bytes = table_named(run, "long_text_bytes").bytes;
  std::int64_t end = 0;
  for (LongTextRow& row : decode<LongTextRow>(run, "long_texts", long_text_columns(), {})) {
    if (row.byte_offset != end || row.byte_count < 0 || row.byte_count > std::ssize(bytes) - end)
      throw DataError("table 'long_texts' addresses bytes that are not there");
    end += row.byte_count;
    texts[{std::move(row.table), std::move(row.column), row.row}] =
        bytes.substr(std::size_t(row.byte_offset), std::size_t(row.byte_count));
  }
  return texts;
}

/// Hands out consecutive stretches of a table; each must begin where the one before ended.
class Stretches {
 public:
  Stretches(std::string_view table, std::size_t rows) : table_(table), rows_(std::int64_t(rows)) {}
  std::size_t take(std::int64_t offset, std::int64_t count) {
    if (offset != next_ || count < 0 || count > rows_ - next_)
      throw DataError(
          fmt::format("table 'measurements' addresses rows {} + {} of '{}', which has {} rows of which {} are taken",
                      offset, count, table_, rows_, next_));
    next_ += count;
    return std::size_t(offset);
  }
  void done() const {
    if (next_ != rows_)
      throw DataError(fmt::format("'{}' has {} rows, of which only {} belong to a measurement", table_, rows_, next_));
  }

 private:
  std::string_view table_;
  std::int64_t rows_, next_ = 0;
};

template <class Value>
std::vector<Value> flat_values(const RunTables& run, std::string_view name, std::size_t rows) {
  const TableBytes& table = table_named(run, name);
  if (table.rows != rows)
    throw DataError(fmt::format("'{}' has {} rows where 'samples/time_ns' has {}", name, table.rows, rows));
  std::vector<Value> values(rows);
  for (std::size_t i = 0; i < rows; ++i) get_cell(table, table.fields.front(), i, i * sizeof(Value), &values[i], {});
  return values;
}

/// The four flat arrays below /samples.
struct Samples {
  explicit Samples(const RunTables& run)
      : time_ns(flat_values<double>(run, "samples/time_ns", table_named(run, "samples/time_ns").rows)),
        iterations(flat_values<std::int64_t>(run, "samples/iterations", time_ns.size())),
        cold(table_named(run, "samples/cold")),
        warmup(table_named(run, "samples/warmup")),
        stretches("samples/time_ns", time_ns.size()) {
    if (cold.rows != time_ns.size() || warmup.rows != time_ns.size())
      throw DataError("the arrays below 'samples' differ in length");
  }

  void read(SampleSet& set, bool is_cold, std::int64_t offset, std::int64_t count) {
    const std::size_t begin = stretches.take(offset, count), n = std::size_t(count);
    if (set.warmup < 0 || set.warmup > count)
      throw DataError(fmt::format("{} of {} blocks are said to be warm-up", set.warmup, count));
    for (std::size_t i = 0; i < n; ++i)
      if (cold.bytes[begin + i] != char(is_cold) || warmup.bytes[begin + i] != char(std::int64_t(i) < set.warmup))
        throw DataError(fmt::format("block {} of 'samples' contradicts the measurement that it belongs to", begin + i));
    set.time_ns.assign(time_ns.begin() + offset, time_ns.begin() + offset + count);
    set.iterations.assign(iterations.begin() + offset, iterations.begin() + offset + count);
  }

  std::vector<double> time_ns;
  std::vector<std::int64_t> iterations;
  const TableBytes& cold;
  const TableBytes& warmup;
  Stretches stretches;
};

ItemColumns items_of(std::span<const ItemRow> rows, std::int32_t measurement) {
  ItemColumns items;
  for (const ItemRow& row : rows) {
    if (row.measurement != measurement)
      throw DataError(fmt::format("an item of measurement {} claims to belong to {}", measurement, row.measurement));
    items.index.push_back(row.item);
    items.float_top1.push_back(row.float_top1);
    items.top1.push_back(row.top1);
    items.target.push_back(row.target);
    items.float_hit5.push_back(row.float_hit5);
    items.hit5.push_back(row.hit5);
    items.float_log_likelihood.push_back(row.float_log_likelihood);
    items.log_likelihood.push_back(row.log_likelihood);
    items.kl.push_back(row.kl);
  }
  return items;
}

std::vector<Measurement> measurements_of(const RunTables& run, const LongTexts& texts) {
  std::vector<MeasurementRow> rows = decode<MeasurementRow>(run, "measurements", measurement_columns(), texts);
  const std::vector<NoiseRow> noise = decode<NoiseRow>(run, "noise", noise_columns(), texts);
  const std::vector<LayerRow> layers = decode<LayerRow>(run, "layers", layer_columns(), texts);
  const std::vector<ItemRow> items = decode<ItemRow>(run, "items", item_columns(), texts);
  if (noise.size() != rows.size())
    throw DataError(fmt::format("table 'noise' has {} rows for {} measurements", noise.size(), rows.size()));
  Samples samples(run);
  Stretches layer_stretches("layers", layers.size()), item_stretches("items", items.size());
  std::vector<Measurement> measurements;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    MeasurementRow& row = rows[i];
    Measurement& m = measurements.emplace_back(std::move(row.facts));
    m.outcome = parse_outcome(row.outcome, fmt::format("table 'measurements', row {}", i), Blame::peer);
    samples.read(m.hot, false, row.hot_offset, row.hot_count);
    samples.read(m.cold, true, row.cold_offset, row.cold_count);
    m.items = items_of(
        std::span(items).subspan(item_stretches.take(row.item_offset, row.item_count), std::size_t(row.item_count)),
        std::int32_t(i));
    const std::size_t first_layer = layer_stretches.take(row.layer_offset, row.layer_count);
    for (const LayerRow& layer : std::span(layers).subspan(first_layer, std::size_t(row.layer_count))) {
      if (layer.unit != m.unit)
        throw DataError(fmt::format("a layer of unit '{}' claims to belong to '{}'", m.unit, layer.unit));
      m.layers.push_back(layer.layer);
    }
    if (noise[i].unit != m.unit)
      throw DataError(fmt::format("row {} of 'noise' does not belong to unit '{}'", i, m.unit));
    m.noise = noise[i].noise;
  }
  samples.stretches.done();
  layer_stretches.done();
  item_stretches.done();
  return measurements;
}

std::vector<PlanRow> plan_of(const RunTables& run, const LongTexts& texts) {
  std::vector<ModelManifest> models;
  for (const ModelRow& row : decode<ModelRow>(run, "models", model_columns(), texts)) {
    const std::string where = fmt::format("table 'models', row {}", models.size());
    models.push_back(manifest_from_json(parse_json(row.manifest, where, Blame::peer, {.string_bytes = 1 << 20}), where,
                                        Blame::peer));
  }
  std::vector<PlanRow> plan;
  for (PlanTableRow& row : decode<PlanTableRow>(run, "plan", plan_columns(), texts)) {
    if (row.model_row < 0 || row.model_row >= std::ssize(models))
      throw DataError(fmt::format("row {} of 'plan' names row {} of 'models', which has {}", plan.size(), row.model_row,
                                  models.size()));
    plan.push_back(std::move(row.row));
    plan.back().unit.model = models[std::size_t(row.model_row)];
  }
  return plan;
}

}  // namespace

RunRecord record_of(const RunTables& run) {
  QB_EXPECTS(run.attributes.size() == attribute_names().size());
  const LongTexts texts = long_texts_of(run);
  RunRecord record;
  std::string* places[] = {&record.run_id, &record.study_name,  &record.plan_digest,
                           &record.build,  &record.created_utc, &record.finished_utc};
  for (std::size_t i = 0; i < run.attributes.size(); ++i) *places[i] = run.attributes[i].second;
  record.study_text = run.study;
  record.plan = plan_of(run, texts);
  record.excluded = decode<ExcludedRow>(run, "excluded", excluded_columns(), texts);
  record.machines = decode<HardwareProfile>(run, "machines", machine_columns(), texts);
  record.measurements = measurements_of(run, texts);
  return record;
}

}  // namespace qb
