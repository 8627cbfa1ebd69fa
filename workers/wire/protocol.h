// The bodies of the coordinator's HTTP interface (design, section 6), shared by both ends.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "workers/records/hardware_profile.h"
#include "workers/records/measurement.h"
#include "workers/records/unit.h"

namespace qb {

inline constexpr int kProtocolVersion = 1;
inline constexpr int kHeartbeatSeconds = 10;  ///< a worker renews this often
inline constexpr int kSilenceSeconds = 100;   ///< without an acknowledgement for so long a worker ends its child
inline constexpr int kLeaseSeconds = 120;     ///< without a renewal for so long the unit waits again

/// POST /v1/workers. The incarnation is a random text made at start: two copies of one worker are told apart by it.
struct Registration {
  int protocol = kProtocolVersion;
  std::string name;  ///< host and process, for people
  std::string incarnation;
  HardwareProfile profile;
};
struct RegistrationAnswer {
  std::string worker;  ///< id to be used from now on
  int lease_seconds = kLeaseSeconds;
};

/// POST /v1/leases
struct LeaseRequest {
  std::string worker;
  double wait_s = 20;  ///< how long the coordinator may hold the request while nothing is free; 0..60
  int count = 1;       ///< at most so many
};
struct Lease {
  std::int64_t epoch = 0;
  WorkUnit unit;
};

/// POST /v1/leases/{unit}/renew
struct RenewRequest {
  std::string worker;
  std::int64_t epoch = 0;
  std::string phase;  ///< for the progress line
};

/// POST /v1/results: { "worker": id, "results": [measurement...] } → { "answers": [ { unit, verdict, reason } ] }
enum class ResultVerdict : std::uint8_t { settled, repeated, shadow, invalid };
std::string_view name_of(ResultVerdict verdict);
struct ResultAnswer {
  std::string unit;
  ResultVerdict verdict = ResultVerdict::invalid;
  std::string reason;
};

Json to_json(const Registration& value);
/// Of another protocol version only the version is read, so that it can be refused in words.
Registration registration_from_json(const Json& value, const std::string& where, Blame blame);
Json to_json(const RegistrationAnswer& value);
RegistrationAnswer registration_answer_from_json(const Json& value, const std::string& where, Blame blame);
Json to_json(const LeaseRequest& value);
LeaseRequest lease_request_from_json(const Json& value, const std::string& where, Blame blame);
Json to_json(const std::vector<Lease>& value);
std::vector<Lease> leases_from_json(const Json& value, const std::string& where, Blame blame);
Json to_json(const RenewRequest& value);
RenewRequest renew_request_from_json(const Json& value, const std::string& where, Blame blame);
Json results_to_json(const std::string& worker, const std::vector<Measurement>& results);
std::vector<Measurement> results_from_json(const Json& value, std::string& worker, const std::string& where,
                                           Blame blame);
Json to_json(const std::vector<ResultAnswer>& value);
std::vector<ResultAnswer> result_answers_from_json(const Json& value, const std::string& where, Blame blame);

}  // namespace qb
