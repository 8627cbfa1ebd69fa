#include "workers/records/measurement_parts.h"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "workers/records/record_fields.h"

namespace qb {

namespace {

constexpr std::size_t kMostItems = 100'000;
constexpr std::size_t kMostBlocks = 100'000;
constexpr std::size_t kMostLayers = 10'000;
constexpr std::size_t kTextBytes = 8 << 10;
constexpr std::int64_t kMostClasses = std::numeric_limits<std::int32_t>::max();
constexpr double kAnyNumber = 1e300;
constexpr double kLongestNs = 1e16;

std::vector<std::int32_t> class_column(Fields& fields, std::string_view key) {
  const std::vector<std::int64_t> wide = integer_column_in(fields, key, kMostItems, 0, kMostClasses);
  std::vector<std::int32_t> column;
  column.reserve(wide.size());
  for (const std::int64_t x : wide) column.push_back(std::int32_t(x));
  return column;
}

std::vector<std::uint8_t> flag_column(Fields& fields, std::string_view key) {
  const std::vector<std::int64_t> wide = integer_column_in(fields, key, kMostItems, 0, 1);
  return {wide.begin(), wide.end()};
}

struct LayerText {
  const char* key;
  std::string LayerMeasurement::*member;
};
constexpr LayerText kLayerTexts[] = {
    {"node", &LayerMeasurement::node},         {"op", &LayerMeasurement::op},
    {"shape", &LayerMeasurement::shape},       {"kernel", &LayerMeasurement::kernel},
    {"format", &LayerMeasurement::format},     {"skipped", &LayerMeasurement::skipped},
    {"prepared", &LayerMeasurement::prepared},
};
struct LayerNumber {
  const char* key;
  double LayerMeasurement::*member;
  double low, high;
};
constexpr LayerNumber kLayerNumbers[] = {
    {"bits_per_weight", &LayerMeasurement::bits_per_weight, 0, 1e6},
    {"weight_sqnr_db", &LayerMeasurement::weight_sqnr_db, -kAnyNumber, kAnyNumber},
    {"output_sqnr_db", &LayerMeasurement::output_sqnr_db, -kAnyNumber, kAnyNumber},
    {"kernel_error", &LayerMeasurement::kernel_error, 0, kAnyNumber},
    {"kernel_bound", &LayerMeasurement::kernel_bound, 0, kAnyNumber},
    {"time_share", &LayerMeasurement::time_share, 0, 1},
    {"quantize_s", &LayerMeasurement::quantize_s, 0, kAnyNumber},
    {"quantize_bytes", &LayerMeasurement::quantize_bytes, 0, kAnyNumber},
};
struct NoiseNumber {
  const char* key;
  double NoiseRecord::*member;
  double high;
};
constexpr NoiseNumber kNoiseNumbers[] = {
    {"cpu_over_wall", &NoiseRecord::cpu_over_wall, 1e6},
    {"wait_over_run", &NoiseRecord::wait_over_run, kAnyNumber},
    {"pressure", &NoiseRecord::pressure, 100},
    {"steal", &NoiseRecord::steal, 1},
    {"spin_before_ns", &NoiseRecord::spin_before_ns, kLongestNs},
    {"spin_after_ns", &NoiseRecord::spin_after_ns, kLongestNs},
    {"load1", &NoiseRecord::load1, 1e9},
};

}  // namespace

Json items_json(const ItemColumns& items) {
  return {{"index", items.index},
          {"float_top1", items.float_top1},
          {"top1", items.top1},
          {"target", items.target},
          {"float_hit5", items.float_hit5},
          {"hit5", items.hit5},
          {"float_log_likelihood", column_json(items.float_log_likelihood)},
          {"log_likelihood", column_json(items.log_likelihood)},
          {"kl", column_json(items.kl)}};
}

ItemColumns read_items(const Json& value, const std::string& where, Blame blame) {
  Fields fields(value, where, blame);
  ItemColumns items;
  items.index = integer_column_in(fields, "index", kMostItems, 0, std::numeric_limits<std::int64_t>::max());
  items.float_top1 = class_column(fields, "float_top1");
  items.top1 = class_column(fields, "top1");
  items.target = class_column(fields, "target");
  items.float_hit5 = flag_column(fields, "float_hit5");
  items.hit5 = flag_column(fields, "hit5");
  items.float_log_likelihood = column_in(fields, "float_log_likelihood", kMostItems, -kAnyNumber, 1e-6);
  items.log_likelihood = column_in(fields, "log_likelihood", kMostItems, -kAnyNumber, 1e-6);
  items.kl = column_in(fields, "kl", kMostItems, -1e-6, kAnyNumber);
  fields.done();
  const std::size_t count = items.index.size();
  const auto check = [&](std::string_view key, std::size_t size) {
    if (size != count) fields.fail(key, fmt::format("has {} elements, but 'index' has {}", size, count));
  };
  check("float_top1", items.float_top1.size());
  check("top1", items.top1.size());
  check("target", items.target.size());
  check("float_hit5", items.float_hit5.size());
  check("hit5", items.hit5.size());
  check("float_log_likelihood", items.float_log_likelihood.size());
  check("log_likelihood", items.log_likelihood.size());
  check("kl", items.kl.size());
  return items;
}

Json samples_json(const SampleSet& samples) {
  return {{"time_ns", column_json(samples.time_ns)},
          {"iterations", samples.iterations},
          {"warmup", samples.warmup},
          {"stopped_by", samples.stopped_by}};
}

SampleSet read_samples(const Json& value, const std::string& where, Blame blame) {
  Fields fields(value, where, blame);
  SampleSet samples;
  samples.time_ns = column_in(fields, "time_ns", kMostBlocks, std::numeric_limits<double>::min(), kLongestNs);
  samples.iterations =
      integer_column_in(fields, "iterations", kMostBlocks, 1, std::numeric_limits<std::int64_t>::max());
  const auto count = std::int64_t(samples.time_ns.size());
  samples.warmup = fields.integer("warmup", 0, count);
  samples.stopped_by = short_text(fields, "stopped_by", 40);
  fields.done();
  if (std::int64_t(samples.iterations.size()) != count)
    fields.fail("iterations", fmt::format("has {} elements, but 'time_ns' has {}", samples.iterations.size(), count));
  const std::string& end = samples.stopped_by;
  if (count == 0 ? !end.empty() : end != "width" && end != "samples" && end != "time")
    fields.fail("stopped_by", "must be 'width', 'samples' or 'time', and empty without blocks");
  return samples;
}

Json layers_json(const std::vector<LayerMeasurement>& layers) {
  Json list = Json::array();
  for (const LayerMeasurement& layer : layers) {
    Json value = Json::object();
    for (const auto& [key, member] : kLayerTexts) value[key] = layer.*member;
    for (const LayerNumber& number : kLayerNumbers) value[number.key] = number_json(layer.*number.member);
    list.push_back(std::move(value));
  }
  return list;
}

std::vector<LayerMeasurement> read_layers(const Json& value, const std::string& where, Blame blame) {
  if (value.size() > kMostLayers)
    refuse(blame, fmt::format("{}: has {} elements; at most {} are accepted", where, value.size(), kMostLayers));
  std::vector<LayerMeasurement> layers;
  for (const Json& element : value) {
    Fields fields(element, fmt::format("{}[{}]", where, layers.size()), blame);
    LayerMeasurement layer;
    for (const auto& [key, member] : kLayerTexts) layer.*member = short_text(fields, key, kTextBytes);
    for (const LayerNumber& number : kLayerNumbers)
      layer.*number.member = number_in(fields, number.key, number.low, number.high);
    fields.done();
    layers.push_back(std::move(layer));
  }
  return layers;
}

Json noise_json(const NoiseRecord& noise) {
  Json value = {
      {"involuntary_switches", noise.involuntary_switches}, {"repeats", noise.repeats}, {"marked", noise.marked}};
  for (const auto& [key, member, high] : kNoiseNumbers) value[key] = number_json(noise.*member);
  return value;
}

NoiseRecord read_noise(const Json& value, const std::string& where, Blame blame) {
  Fields fields(value, where, blame);
  NoiseRecord noise;
  for (const auto& [key, member, high] : kNoiseNumbers) noise.*member = number_in(fields, key, 0.0, high);
  noise.involuntary_switches = fields.integer("involuntary_switches", -1, std::numeric_limits<std::int64_t>::max());
  noise.repeats = int(fields.integer("repeats", 0, 100));
  noise.marked = short_text(fields, "marked", kTextBytes);
  fields.done();
  return noise;
}

}  // namespace qb
