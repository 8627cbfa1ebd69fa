#include "reports/record/run_columns.h"

namespace qb {

namespace {

constexpr std::size_t kDigest = 64, kName = 64, kWords = 96, kLine = 256;  ///< widths of text, in bytes

}  // namespace

std::span<const Column<ModelRow>> model_columns() {
  static const Column<ModelRow> columns[] = {
      column<&ModelRow::name>("name", "", kName),
      column<&ModelRow::format>("format", "", 16),
      column<&ModelRow::task>("task", "", 16),
      column<&ModelRow::model_digest>("model_digest", "sha256", kDigest),
      column<&ModelRow::dataset>("dataset", "", kName),
      column<&ModelRow::dataset_kind>("dataset_kind", "", 16),
      column<&ModelRow::split>("split", "", 16),
      column<&ModelRow::data_digest>("data_digest", "sha256", kDigest),
      column<&ModelRow::manifest>("manifest", "JSON", 1024),
  };
  return columns;
}

std::span<const Column<PlanTableRow>> plan_columns() {
  using Row = PlanTableRow;
  constexpr auto unit = &PlanRow::unit;
  constexpr auto point = &WorkUnit::combination;
  constexpr auto measure = &WorkUnit::measure;
  static const Column<Row> columns[] = {
      column<&Row::row, unit, &WorkUnit::id>("unit", "sha256", kDigest),
      column<&Row::row, unit, point, &Combination::model>("model", "", kName),
      column<&Row::row, unit, point, &Combination::quantizer>("quantizer", "", kName),
      column<&Row::row, unit, point, &Combination::kernel>("kernel", "", kName),
      column<&Row::row, unit, point, &Combination::hardware>("hardware", "", kName),
      column<&Row::row, unit, point, &Combination::batch>("batch", "samples"),
      column<&Row::row, unit, point, &Combination::threads>("threads"),
      column<&Row::dataset>("dataset", "", kName),
      column<&Row::row, unit, &WorkUnit::seed>("seed"),
      column<&Row::row, &PlanRow::status>("status", "", 16),
      column<&Row::row, &PlanRow::reason>("reason", "", kLine),
      column<&Row::row, &PlanRow::attempts>("attempts"),
      column<&Row::row, &PlanRow::reproduce>("reproduce", "", kLine),
      column<&Row::model_row>("model_row", "row of /models"),
      column<&Row::row, unit, &WorkUnit::isa>("isa", "", 16),
      column<&Row::row, unit, &WorkUnit::match>("match", "", kName),
      column<&Row::row, unit, measure, &MeasureOptions::accuracy_samples>("accuracy_samples", "samples"),
      column<&Row::row, unit, measure, &MeasureOptions::calibration_samples>("calibration_samples", "samples"),
      column<&Row::row, unit, measure, &MeasureOptions::min_samples>("min_blocks", "blocks"),
      column<&Row::row, unit, measure, &MeasureOptions::max_samples>("max_blocks", "blocks"),
      column<&Row::row, unit, measure, &MeasureOptions::relative_width>("relative_width", "of the median"),
      column<&Row::row, unit, measure, &MeasureOptions::time_limit_s>("time_limit_s", "s"),
      column<&Row::row, unit, measure, &MeasureOptions::cold>("time_cold"),
      column<&Row::row, unit, &WorkUnit::limits, &UnitLimits::seconds>("limit_s", "s"),
      column<&Row::row, unit, &WorkUnit::limits, &UnitLimits::memory_bytes>("limit_memory_bytes", "bytes"),
  };
  return columns;
}

std::span<const Column<ExcludedRow>> excluded_columns() {
  constexpr auto point = &ExcludedRow::combination;
  static const Column<ExcludedRow> columns[] = {
      column<point, &Combination::model>("model", "", kName),
      column<point, &Combination::quantizer>("quantizer", "", kName),
      column<point, &Combination::kernel>("kernel", "", kName),
      column<point, &Combination::hardware>("hardware", "", kName),
      column<point, &Combination::batch>("batch", "samples"),
      column<point, &Combination::threads>("threads"),
      column<&ExcludedRow::reason>("reason", "", kLine),
  };
  return columns;
}

std::span<const Column<HardwareProfile>> machine_columns() {
  using Row = HardwareProfile;
  static const Column<Row> columns[] = {
      column<&Row::machine_key>("machine_key", "sha256", kDigest),
      column<&Row::host>("host", "", kName),
      column<&Row::architecture>("architecture", "", 16),
      column<&Row::cpu_vendor>("cpu_vendor", "", 32),
      column<&Row::cpu_model>("cpu_model", "", kWords),
      column<&Row::cpu_family>("cpu_family"),
      column<&Row::cpu_model_number>("cpu_model_number"),
      column<&Row::cpu_stepping>("cpu_stepping"),
      column<&Row::microcode>("microcode", "", 32),
      column<&Row::processors>("processors"),
      column<&Row::threads_per_core>("threads_per_core"),
      column<&Row::sockets>("sockets"),
      column<&Row::l1d_bytes>("l1d_bytes", "bytes"),
      column<&Row::l2_bytes>("l2_bytes", "bytes"),
      column<&Row::l3_bytes>("l3_bytes", "bytes"),
      column<&Row::memory_bytes>("memory_bytes", "bytes"),
      column<&Row::isa>("isa", "", kWords),
      column<&Row::kernel_release>("kernel_release", "", 32),
      column<&Row::compiler>("compiler", "", kName),
      column<&Row::flags>("flags", "", kWords),
      column<&Row::build>("build", "", kWords),
      column<&Row::peak_read_bytes_per_s>("peak_read_bytes_per_s", "bytes/s"),
      column<&Row::peak_s8_ops_per_s>("peak_s8_ops_per_s", "1/s"),
      column<&Row::peak_f32_ops_per_s>("peak_f32_ops_per_s", "1/s"),
      column<&Row::peak_bf16_ops_per_s>("peak_bf16_ops_per_s", "1/s"),
      column<&Row::timer_resolution_ns>("timer_resolution_ns", "ns"),
      column<&Row::timer_cost_ns>("timer_cost_ns", "ns"),
      column<&Row::aa_noise>("aa_noise", "of the median"),
  };
  return columns;
}

std::span<const Column<MeasurementRow>> measurement_columns() {
  using Row = MeasurementRow;
  constexpr auto facts = &Row::facts;
  static const Column<Row> columns[] = {
      column<facts, &Measurement::unit>("unit", "sha256", kDigest),
      column<facts, &Measurement::machine_key>("machine_key", "sha256", kDigest),
      column<facts, &Measurement::worker>("worker", "", kName),
      column<facts, &Measurement::epoch>("epoch"),
      column<&Row::outcome>("outcome", "", 16),
      column<facts, &Measurement::reason>("reason", "", kLine),
      column<facts, &Measurement::started_utc>("started_utc", "", 24),
      column<facts, &Measurement::wall_s>("wall_s", "s"),
      column<facts, &Measurement::kernels>("kernels", "", 2 * kWords),
      column<facts, &Measurement::dataset>("dataset", "", kWords),
      column<facts, &Measurement::task>("task", "", 16),
      column<facts, &Measurement::output_sqnr_db>("output_sqnr_db", "dB"),
      column<facts, &Measurement::output_cosine>("output_cosine"),
      column<facts, &Measurement::kernel_error>("kernel_error", "of sum |a||w|"),
      column<facts, &Measurement::kernel_bound>("kernel_bound", "of sum |a||w|"),
      column<facts, &Measurement::repeatable>("repeatable"),
      column<&Row::hot_offset>("hot_offset", "row of /samples"),
      column<&Row::hot_count>("hot_count", "blocks"),
      column<facts, &Measurement::hot, &SampleSet::warmup>("hot_warmup", "blocks"),
      column<facts, &Measurement::hot, &SampleSet::stopped_by>("hot_stopped_by", "", 16),
      column<&Row::cold_offset>("cold_offset", "row of /samples"),
      column<&Row::cold_count>("cold_count", "blocks"),
      column<facts, &Measurement::cold, &SampleSet::warmup>("cold_warmup", "blocks"),
      column<facts, &Measurement::cold, &SampleSet::stopped_by>("cold_stopped_by", "", 16),
      column<&Row::item_offset>("item_offset", "row of /items"),
      column<&Row::item_count>("item_count", "samples"),
      column<&Row::layer_offset>("layer_offset", "row of /layers"),
      column<&Row::layer_count>("layer_count"),
      column<facts, &Measurement::load_s>("load_s", "s"),
      column<facts, &Measurement::quantize_s>("quantize_s", "s"),
      column<facts, &Measurement::prepare_s>("prepare_s", "s"),
      column<facts, &Measurement::packed_bytes>("packed_bytes", "bytes"),
      column<facts, &Measurement::other_bytes>("other_bytes", "bytes"),
      column<facts, &Measurement::prepared_bytes>("prepared_bytes", "bytes"),
      column<facts, &Measurement::scratch_bytes>("scratch_bytes", "bytes"),
      column<facts, &Measurement::peak_bytes>("peak_bytes", "bytes"),
      column<facts, &Measurement::base_bytes>("base_bytes", "bytes"),
      column<facts, &Measurement::bits_per_weight>("bits_per_weight", "bits"),
      column<facts, &Measurement::bits_per_parameter>("bits_per_parameter", "bits"),
  };
  return columns;
}

std::span<const Column<NoiseRow>> noise_columns() {
  using Row = NoiseRow;
  constexpr auto noise = &Row::noise;
  static const Column<Row> columns[] = {
      column<&Row::unit>("unit", "sha256", kDigest),
      column<noise, &NoiseRecord::cpu_over_wall>("cpu_over_wall"),
      column<noise, &NoiseRecord::involuntary_switches>("involuntary_switches"),
      column<noise, &NoiseRecord::wait_over_run>("wait_over_run"),
      column<noise, &NoiseRecord::pressure>("pressure", "percent"),
      column<noise, &NoiseRecord::steal>("steal", "of all time"),
      column<noise, &NoiseRecord::spin_before_ns>("spin_before_ns", "ns"),
      column<noise, &NoiseRecord::spin_after_ns>("spin_after_ns", "ns"),
      column<noise, &NoiseRecord::load1>("load1"),
      column<noise, &NoiseRecord::repeats>("repeats"),
      column<noise, &NoiseRecord::marked>("marked", "", kLine),
  };
  return columns;
}

std::span<const Column<LayerRow>> layer_columns() {
  using Row = LayerRow;
  constexpr auto layer = &Row::layer;
  static const Column<Row> columns[] = {
      column<&Row::unit>("unit", "sha256", kDigest),
      column<layer, &LayerMeasurement::node>("node", "", kWords),
      column<layer, &LayerMeasurement::op>("op", "", 32),
      column<layer, &LayerMeasurement::shape>("shape", "", 32),
      column<layer, &LayerMeasurement::kernel>("kernel", "", kName),
      column<layer, &LayerMeasurement::format>("format", "", 32),
      column<layer, &LayerMeasurement::bits_per_weight>("bits_per_weight", "bits"),
      column<layer, &LayerMeasurement::weight_sqnr_db>("weight_sqnr_db", "dB"),
      column<layer, &LayerMeasurement::output_sqnr_db>("output_sqnr_db", "dB"),
      column<layer, &LayerMeasurement::kernel_error>("kernel_error", "of sum |a||w|"),
      column<layer, &LayerMeasurement::kernel_bound>("kernel_bound", "of sum |a||w|"),
      column<layer, &LayerMeasurement::time_share>("time_share", "of one run"),
      column<layer, &LayerMeasurement::quantize_s>("quantize_s", "s"),
      column<layer, &LayerMeasurement::quantize_bytes>("quantize_bytes", "bytes"),
      column<layer, &LayerMeasurement::skipped>("skipped", "", kWords),
      column<layer, &LayerMeasurement::prepared>("prepared", "", kWords),
  };
  return columns;
}

std::span<const Column<ItemRow>> item_columns() {
  using Row = ItemRow;
  static const Column<Row> columns[] = {
      column<&Row::measurement>("measurement", "row of /measurements"),
      column<&Row::item>("item", "sample of the data set"),
      column<&Row::float_top1>("float_top1", "class"),
      column<&Row::top1>("top1", "class"),
      column<&Row::target>("target", "class"),
      column<&Row::float_hit5>("float_hit5"),
      column<&Row::hit5>("hit5"),
      column<&Row::float_log_likelihood>("float_log_likelihood", "nats"),
      column<&Row::log_likelihood>("log_likelihood", "nats"),
      column<&Row::kl>("kl", "nats"),
  };
  return columns;
}

std::span<const Column<LongTextRow>> long_text_columns() {
  using Row = LongTextRow;
  static const Column<Row> columns[] = {
      column<&Row::table>("table", "", 32),
      column<&Row::column>("column", "", 32),
      column<&Row::row>("row"),
      column<&Row::byte_offset>("byte_offset", "byte of /long_text_bytes"),
      column<&Row::byte_count>("byte_count", "bytes"),
  };
  return columns;
}

}  // namespace qb
