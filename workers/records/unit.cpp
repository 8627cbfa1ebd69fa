#include "workers/records/unit.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/base/cpu.h"
#include "kernels/base/digest.h"
#include "kernels/base/text.h"
#include "workers/records/record_fields.h"

namespace qb {

namespace {

constexpr std::size_t kNameBytes = 1024;
constexpr std::int64_t kMostItems = 100'000;  // seven columns of so many items stay below a body of 16 MiB
constexpr std::int64_t kMostBlocks = 10'000;
constexpr std::int64_t kMostBatch = 1 << 20;
constexpr std::int64_t kMostThreads = 4096;

Json combination_json(const Combination& value) {
  return {{"model", value.model},   {"quantizer", value.quantizer}, {"hardware", value.hardware},
          {"kernel", value.kernel}, {"batch", value.batch},         {"threads", value.threads}};
}

Combination read_combination(const Json& value, const std::string& where, Blame blame) {
  Fields fields(value, where, blame);
  Combination result;
  const auto name = [&](std::string_view key) {
    std::string text = short_text(fields, key, kNameBytes);
    if (text.empty()) fields.fail(key, "must not be empty");
    return text;
  };
  result.model = name("model");
  result.quantizer = name("quantizer");
  result.hardware = name("hardware");
  result.kernel = name("kernel");
  result.batch = fields.integer("batch", 1, kMostBatch);
  result.threads = int(fields.integer("threads", 1, kMostThreads));
  fields.done();
  return result;
}

Json measure_json(const MeasureOptions& value) {
  return {{"accuracy_samples", value.accuracy_samples},
          {"calibration_samples", value.calibration_samples},
          {"min_samples", value.min_samples},
          {"max_samples", value.max_samples},
          {"relative_width", number_json(value.relative_width)},
          {"time_limit_s", number_json(value.time_limit_s)},
          {"cold", value.cold}};
}

MeasureOptions read_measure(const Json& value, const std::string& where, Blame blame) {
  Fields fields(value, where, blame);
  MeasureOptions result;
  result.accuracy_samples = fields.integer("accuracy_samples", 0, kMostItems);
  result.calibration_samples = fields.integer("calibration_samples", 0, kMostItems);
  result.max_samples = fields.integer("max_samples", 1, kMostBlocks);
  result.min_samples = fields.integer("min_samples", 1, result.max_samples);
  result.relative_width = finite_in(fields, "relative_width", 1e-6, 1.0);
  result.time_limit_s = finite_in(fields, "time_limit_s", 1e-3, 3600.0);
  fields.at("cold");
  result.cold = fields.flag_or("cold", true);
  fields.done();
  return result;
}

UnitLimits read_limits(const Json& value, const std::string& where, Blame blame) {
  Fields fields(value, where, blame);
  UnitLimits result;
  result.seconds = finite_in(fields, "seconds", 0.1, 7 * 86400.0);
  result.memory_bytes = fields.integer("memory_bytes", 0, std::int64_t(1) << 50);
  fields.done();
  return result;
}

/// A seed uses all 64 bits, which is more than Fields::integer reads.
std::uint64_t read_seed(Fields& fields) {
  const Json& value = fields.at("seed");
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  if (value.is_number_integer() && value.get<std::int64_t>() >= 0) return std::uint64_t(value.get<std::int64_t>());
  fields.fail("seed", fmt::format("must be a whole number from 0 to {}", std::numeric_limits<std::uint64_t>::max()));
}

Json without_id(const WorkUnit& unit) {
  return {{"combination", combination_json(unit.combination)},
          {"isa", unit.isa},
          {"match", unit.match},
          {"model", to_json(unit.model)},
          {"seed", unit.seed},
          {"measure", measure_json(unit.measure)},
          {"limits", {{"seconds", number_json(unit.limits.seconds)}, {"memory_bytes", unit.limits.memory_bytes}}}};
}

}  // namespace

std::string unit_id(const WorkUnit& unit) { return sha256_hex(canonical_text(without_id(unit))); }

Json to_json(const WorkUnit& unit) {
  Json value = without_id(unit);
  value["id"] = unit.id;
  return value;
}

WorkUnit unit_from_json(const Json& value, const std::string& where, Blame blame) {
  Fields fields(value, where, blame);
  WorkUnit unit;
  unit.id = digest_text(fields, "id");
  unit.combination = read_combination(fields.at("combination"), where + ".combination", blame);
  unit.isa = short_text(fields, "isa", kNameBytes);
  const std::vector<std::string> caps = isa_cap_names();
  if (std::find(caps.begin(), caps.end(), unit.isa) == caps.end())
    fields.fail("isa",
                fmt::format("is '{}', which is not a known instruction set{}", unit.isa, suggestion(unit.isa, caps)));
  unit.match = short_text(fields, "match", kNameBytes);
  unit.model = manifest_from_json(fields.at("model"), where + ".model", blame);
  unit.seed = read_seed(fields);
  unit.measure = read_measure(fields.at("measure"), where + ".measure", blame);
  unit.limits = read_limits(fields.at("limits"), where + ".limits", blame);
  fields.done();
  if (const std::string id = unit_id(unit); id != unit.id)
    fields.fail("id", fmt::format("is {}, but what the unit says has the digest {}", unit.id, id));
  return unit;
}

}  // namespace qb
