// The schema of the run file: one struct per table row, one table of columns per struct.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "reports/record/hdf5_columns.h"
#include "reports/record/run_record.h"

namespace qb {

struct ModelRow {
  std::string name, format, task, model_digest, dataset, dataset_kind, split, data_digest;
  std::string manifest;  ///< canonical JSON of the ModelManifest
};

struct PlanTableRow {
  PlanRow row;  ///< without unit.model, which stands in /models
  std::string dataset;
  std::int32_t model_row = 0;  ///< of /models
};

/// Offsets and counts address /samples, /items and /layers, whose rows stand in the order of the measurements.
struct MeasurementRow {
  Measurement facts;  ///< without items, layers, noise and samples
  std::string outcome;
  std::int64_t hot_offset = 0, hot_count = 0, cold_offset = 0, cold_count = 0;
  std::int64_t item_offset = 0, item_count = 0, layer_offset = 0, layer_count = 0;
};

struct NoiseRow {
  std::string unit;
  NoiseRecord noise;
};

struct LayerRow {
  std::string unit;
  LayerMeasurement layer;
};

struct ItemRow {
  std::int32_t measurement = 0;  ///< row of /measurements
  std::int64_t item = 0;
  std::int32_t float_top1 = 0, top1 = 0, target = 0;
  bool float_hit5 = false, hit5 = false;
  double float_log_likelihood = 0, log_likelihood = 0, kl = 0;
};

/// Stored as four flat arrays, not as a table.
struct SampleRow {
  double time_ns = 0;
  std::int64_t iterations = 0;
  bool cold = false, warmup = false;
};

struct LongTextRow {
  std::string table, column;
  std::int64_t row = 0, byte_offset = 0, byte_count = 0;  ///< bytes of /long_text_bytes
};

std::span<const Column<ModelRow>> model_columns();
std::span<const Column<PlanTableRow>> plan_columns();
std::span<const Column<ExcludedRow>> excluded_columns();
std::span<const Column<HardwareProfile>> machine_columns();
std::span<const Column<MeasurementRow>> measurement_columns();
std::span<const Column<NoiseRow>> noise_columns();
std::span<const Column<LayerRow>> layer_columns();
std::span<const Column<ItemRow>> item_columns();
std::span<const Column<LongTextRow>> long_text_columns();

}  // namespace qb
