#include "workers/records/measurement.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/base/digest.h"
#include "kernels/base/error.h"
#include "kernels/base/text.h"
#include "workers/records/measurement_parts.h"
#include "workers/records/record_fields.h"

namespace qb {

namespace {

constexpr std::array<std::string_view, 5> kOutcomeNames = {"ok", "unsupported", "failed", "timed_out", "mistrusted"};
constexpr std::size_t kTextBytes = 8 << 10;
constexpr std::int64_t kMostBytes = std::int64_t(1) << 60;
constexpr double kAnyNumber = 1e300;
constexpr double kLongestS = 1e7;

struct NumberMember {
  const char* key;
  double Measurement::*member;
  double low, high;
};
/// What a measurement says in single numbers; all missing unless the outcome is ok.
constexpr NumberMember kNumbers[] = {
    {"output_sqnr_db", &Measurement::output_sqnr_db, -kAnyNumber, kAnyNumber},
    {"output_cosine", &Measurement::output_cosine, -1.001, 1.001},
    {"kernel_error", &Measurement::kernel_error, 0, kAnyNumber},
    {"kernel_bound", &Measurement::kernel_bound, 0, kAnyNumber},
    {"load_s", &Measurement::load_s, 0, kLongestS},
    {"quantize_s", &Measurement::quantize_s, 0, kLongestS},
    {"prepare_s", &Measurement::prepare_s, 0, kLongestS},
    {"bits_per_weight", &Measurement::bits_per_weight, 0, 1e6},
    {"bits_per_parameter", &Measurement::bits_per_parameter, 0, 1e6},
};
struct SizeMember {
  const char* key;
  std::int64_t Measurement::*member;
};
constexpr SizeMember kSizes[] = {
    {"packed_bytes", &Measurement::packed_bytes},     {"other_bytes", &Measurement::other_bytes},
    {"prepared_bytes", &Measurement::prepared_bytes}, {"scratch_bytes", &Measurement::scratch_bytes},
    {"peak_bytes", &Measurement::peak_bytes},         {"base_bytes", &Measurement::base_bytes},
};

/// Names the first number of a measurement that should have none; empty when there is none.
std::string first_number(const Measurement& value) {
  for (const NumberMember& number : kNumbers)
    if (!std::isnan(value.*number.member)) return number.key;
  for (const SizeMember& size : kSizes)
    if (value.*size.member != -1) return size.key;
  if (!value.items.index.empty()) return "items";
  if (!value.hot.time_ns.empty()) return "hot";
  if (!value.cold.time_ns.empty()) return "cold";
  if (!value.layers.empty()) return "layers";
  if (value.repeatable) return "repeatable";
  return {};
}

void check_outcome(const Fields& fields, const Measurement& value) {
  if (value.outcome == Outcome::ok) {
    if (!value.reason.empty()) fields.fail("reason", "must be empty when the outcome is ok");
    if (value.passing) fields.fail("passing", "must be false when the outcome is ok");
    return;
  }
  if (value.reason.empty())
    fields.fail("reason", fmt::format("is empty, but the outcome '{}' needs one", name_of(value.outcome)));
  if (value.passing && value.outcome != Outcome::failed)
    fields.fail("passing", fmt::format("must be false when the outcome is '{}'", name_of(value.outcome)));
  if (const std::string key = first_number(value); !key.empty())
    fields.fail(
        key, fmt::format("holds a number, but the outcome is '{}'; only 'ok' carries numbers", name_of(value.outcome)));
}

/// What a record's digest leaves out: who measured, under which lease, and when.
constexpr const char* kOfTheAttempt[] = {"worker", "epoch", "started_utc", "wall_s"};

}  // namespace

std::string_view name_of(Outcome outcome) { return kOutcomeNames.at(std::size_t(outcome)); }

Outcome parse_outcome(std::string_view name, const std::string& where, Blame blame) {
  const auto found = std::find(kOutcomeNames.begin(), kOutcomeNames.end(), name);
  if (found == kOutcomeNames.end()) {
    const std::vector<std::string> known(kOutcomeNames.begin(), kOutcomeNames.end());
    refuse(blame, fmt::format("{}: outcome '{}' is not known{}", where, name.substr(0, 40), suggestion(name, known)));
  }
  return Outcome(found - kOutcomeNames.begin());
}

Measurement without_numbers(const Measurement& from, Outcome outcome, std::string reason) {
  QB_EXPECTS(outcome != Outcome::ok && !reason.empty());
  Measurement result;
  result.unit = from.unit;
  result.machine_key = from.machine_key;
  result.worker = from.worker;
  result.epoch = from.epoch;
  result.started_utc = from.started_utc;
  result.wall_s = from.wall_s;
  result.kernels = from.kernels;
  result.dataset = from.dataset;
  result.task = from.task;
  result.noise = from.noise;
  result.outcome = outcome;
  result.reason = speakable(reason);
  return result;
}

std::string speakable(std::string_view text) {
  constexpr std::size_t kLongest = 2000;
  std::size_t end = std::min(text.size(), kLongest);
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  std::string result(text.substr(0, end));
  const bool utf8 = valid_utf8(result);
  for (char& c : result) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = ' ';
    if (byte >= 0x80 && !utf8) c = '?';
  }
  return result;
}

Json to_json(const Measurement& m) {
  Json value = {{"unit", m.unit},
                {"machine_key", m.machine_key},
                {"worker", m.worker},
                {"epoch", m.epoch},
                {"outcome", name_of(m.outcome)},
                {"reason", m.reason},
                {"passing", m.passing},
                {"started_utc", m.started_utc},
                {"wall_s", number_json(m.wall_s)},
                {"kernels", m.kernels},
                {"dataset", m.dataset},
                {"task", m.task},
                {"items", items_json(m.items)},
                {"repeatable", m.repeatable},
                {"hot", samples_json(m.hot)},
                {"cold", samples_json(m.cold)},
                {"layers", layers_json(m.layers)},
                {"noise", noise_json(m.noise)}};
  for (const NumberMember& number : kNumbers) value[number.key] = number_json(m.*number.member);
  for (const SizeMember& size : kSizes) value[size.key] = m.*size.member;
  return value;
}

Measurement measurement_from_json(const Json& value, const std::string& where, Blame blame) {
  Fields fields(value, where, blame);
  Measurement m;
  m.unit = digest_text(fields, "unit");
  m.machine_key = short_text(fields, "machine_key", 64);
  if (!m.machine_key.empty() && !is_digest(m.machine_key)) fields.fail("machine_key", "must be a SHA-256 or empty");
  m.worker = short_text(fields, "worker", kTextBytes);
  m.epoch = fields.integer("epoch", 0, std::numeric_limits<std::int64_t>::max());
  m.outcome = parse_outcome(short_text(fields, "outcome", 40), where, blame);
  m.reason = short_text(fields, "reason", kTextBytes);
  fields.at("passing");
  m.passing = fields.flag_or("passing", false);
  m.started_utc = short_text(fields, "started_utc", 40);
  m.wall_s = number_in(fields, "wall_s", 0, kLongestS);
  m.kernels = short_text(fields, "kernels", kTextBytes);
  m.dataset = short_text(fields, "dataset", kTextBytes);
  m.task = short_text(fields, "task", 40);
  m.items = read_items(fields.at("items"), where + ".items", blame);
  fields.at("repeatable");
  m.repeatable = fields.flag_or("repeatable", false);
  m.hot = read_samples(fields.at("hot"), where + ".hot", blame);
  m.cold = read_samples(fields.at("cold"), where + ".cold", blame);
  m.layers = read_layers(fields.array("layers"), where + ".layers", blame);
  m.noise = read_noise(fields.at("noise"), where + ".noise", blame);
  for (const NumberMember& number : kNumbers) m.*number.member = number_in(fields, number.key, number.low, number.high);
  for (const SizeMember& size : kSizes) m.*size.member = fields.integer(size.key, -1, kMostBytes);
  fields.done();
  check_outcome(fields, m);
  return m;
}

RecordText record_text(Json measurement) {
  Json of_the_attempt = Json::object();
  for (const char* key : kOfTheAttempt) {
    of_the_attempt[key] = std::move(measurement[key]);
    measurement.erase(key);
  }
  const std::string rest = canonical_text(measurement);
  std::string text = canonical_text(of_the_attempt);
  text.back() = ',';
  text.append(rest, 1);
  return {std::move(text), sha256_hex(rest)};
}

std::string measurement_digest(const Measurement& measurement) { return record_text(to_json(measurement)).digest; }

}  // namespace qb
