#include "workers/wire/protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/base/text.h"
#include "workers/records/record_fields.h"

namespace qb {

namespace {

constexpr std::array<std::string_view, 4> kVerdictNames = {"settled", "repeated", "shadow", "invalid"};
constexpr std::size_t kNameBytes = 512;
constexpr std::size_t kReasonBytes = 8 << 10;
constexpr std::size_t kMostResults = 1000;
constexpr std::int64_t kMostLeases = 1000;
constexpr std::int64_t kLastEpoch = std::numeric_limits<std::int64_t>::max();

std::string name_in(Fields& fields, std::string_view key) {
  std::string text = short_text(fields, key, kNameBytes);
  if (text.empty()) fields.fail(key, "must not be empty");
  return text;
}

void check_count(Fields& fields, std::string_view key, std::size_t limit) {
  const std::size_t size = fields.array(key).size();
  if (size > limit) fields.fail(key, fmt::format("has {} elements; at most {} are accepted", size, limit));
}

std::string element_name(const std::string& where, std::string_view key, std::size_t index) {
  return fmt::format("{}.{}[{}]", where, key, index);
}

}  // namespace

std::string_view name_of(ResultVerdict verdict) { return kVerdictNames.at(std::size_t(verdict)); }

Json to_json(const Registration& value) {
  return {{"protocol", value.protocol},
          {"name", value.name},
          {"incarnation", value.incarnation},
          {"profile", to_json(value.profile)}};
}

Registration registration_from_json(const Json& value, const std::string& where, Blame blame) {
  Fields fields(value, where, blame);
  Registration result;
  result.protocol = int(fields.integer("protocol", 0, std::numeric_limits<int>::max()));
  if (result.protocol != kProtocolVersion) return result;
  result.name = name_in(fields, "name");
  result.incarnation = name_in(fields, "incarnation");
  result.profile = profile_from_json(fields.at("profile"), where + ".profile", blame);
  fields.done();
  return result;
}

Json to_json(const RegistrationAnswer& value) {
  return {{"worker", value.worker}, {"lease_seconds", value.lease_seconds}};
}

RegistrationAnswer registration_answer_from_json(const Json& value, const std::string& where, Blame blame) {
  Fields fields(value, where, blame);
  RegistrationAnswer result;
  result.worker = name_in(fields, "worker");
  result.lease_seconds = int(fields.integer("lease_seconds", 1, 86400));
  fields.done();
  return result;
}

Json to_json(const LeaseRequest& value) {
  return {{"worker", value.worker}, {"wait_s", number_json(value.wait_s)}, {"count", value.count}};
}

LeaseRequest lease_request_from_json(const Json& value, const std::string& where, Blame blame) {
  Fields fields(value, where, blame);
  LeaseRequest result;
  result.worker = name_in(fields, "worker");
  result.wait_s = finite_in(fields, "wait_s", 0, 60);
  result.count = int(fields.integer("count", 1, kMostLeases));
  fields.done();
  return result;
}

Json to_json(const std::vector<Lease>& value) {
  Json leases = Json::array();
  for (const Lease& lease : value) leases.push_back({{"epoch", lease.epoch}, {"unit", to_json(lease.unit)}});
  return {{"leases", std::move(leases)}};
}

std::vector<Lease> leases_from_json(const Json& value, const std::string& where, Blame blame) {
  Fields fields(value, where, blame);
  check_count(fields, "leases", std::size_t(kMostLeases));
  std::vector<Lease> result;
  for (const Json& element : fields.array("leases")) {
    const std::string name = element_name(where, "leases", result.size());
    Fields parts(element, name, blame);
    Lease lease;
    lease.epoch = parts.integer("epoch", 0, kLastEpoch);
    lease.unit = unit_from_json(parts.at("unit"), name + ".unit", blame);
    parts.done();
    result.push_back(std::move(lease));
  }
  fields.done();
  return result;
}

Json to_json(const RenewRequest& value) {
  return {{"worker", value.worker}, {"epoch", value.epoch}, {"phase", value.phase}};
}

RenewRequest renew_request_from_json(const Json& value, const std::string& where, Blame blame) {
  Fields fields(value, where, blame);
  RenewRequest result;
  result.worker = name_in(fields, "worker");
  result.epoch = fields.integer("epoch", 0, kLastEpoch);
  result.phase = short_text(fields, "phase", kNameBytes);
  fields.done();
  return result;
}

Json results_to_json(const std::string& worker, const std::vector<Measurement>& results) {
  Json list = Json::array();
  for (const Measurement& result : results) list.push_back(to_json(result));
  return {{"worker", worker}, {"results", std::move(list)}};
}

std::vector<Measurement> results_from_json(const Json& value, std::string& worker, const std::string& where,
                                           Blame blame) {
  Fields fields(value, where, blame);
  std::string sender = name_in(fields, "worker");
  check_count(fields, "results", kMostResults);
  std::vector<Measurement> results;
  for (const Json& element : fields.array("results"))
    results.push_back(measurement_from_json(element, element_name(where, "results", results.size()), blame));
  fields.done();
  worker = std::move(sender);
  return results;
}

Json to_json(const std::vector<ResultAnswer>& value) {
  Json answers = Json::array();
  for (const ResultAnswer& answer : value)
    answers.push_back({{"unit", answer.unit}, {"verdict", name_of(answer.verdict)}, {"reason", answer.reason}});
  return {{"answers", std::move(answers)}};
}

std::vector<ResultAnswer> result_answers_from_json(const Json& value, const std::string& where, Blame blame) {
  Fields fields(value, where, blame);
  check_count(fields, "answers", kMostResults);
  std::vector<ResultAnswer> answers;
  for (const Json& element : fields.array("answers")) {
    Fields parts(element, element_name(where, "answers", answers.size()), blame);
    ResultAnswer answer;
    answer.unit = short_text(parts, "unit", kNameBytes);
    const std::string verdict = short_text(parts, "verdict", 40);
    const auto found = std::find(kVerdictNames.begin(), kVerdictNames.end(), verdict);
    if (found == kVerdictNames.end())
      parts.fail("verdict",
                 fmt::format("is '{}'{}", verdict, suggestion(verdict, {kVerdictNames.begin(), kVerdictNames.end()})));
    answer.verdict = ResultVerdict(found - kVerdictNames.begin());
    answer.reason = short_text(parts, "reason", kReasonBytes);
    parts.done();
    answers.push_back(std::move(answer));
  }
  fields.done();
  return answers;
}

}  // namespace qb
