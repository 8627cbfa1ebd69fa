// The bodies of the wire, both ways.
#include "workers/wire/protocol.h"

#include <doctest/doctest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "kernels/base/error.h"
#include "tests/workers/sample_records.h"

namespace qb {
namespace {

/// The text of a body, read back and written again, is the same; every prefix is refused.
void check_body(const Json& value, const std::function<Json(const Json&)>& reread) {
  const std::string text = canonical_text(value);
  REQUIRE(value.is_object());
  CHECK(canonical_text(reread(parse_json(text, "b", Blame::peer))) == text);
  for (std::size_t size = 0; size < text.size(); ++size)
    CHECK_THROWS_AS(reread(parse_json(text.substr(0, size), "b", Blame::peer)), DataError);
  Json more = value;
  more["unheard_of"] = 1;
  CHECK_THROWS_AS(reread(more), DataError);
  for (const auto& [key, member] : value.items()) {
    Json without = value;
    without.erase(key);
    CHECK_THROWS_AS(reread(without), DataError);
  }
}

TEST_CASE("bodies of the wire read back as written and refuse what they do not know") {
  check_body(to_json(Registration{kProtocolVersion, "here/1", "a1b2", sample_profile()}),
             [](const Json& v) { return to_json(registration_from_json(v, "b", Blame::peer)); });
  check_body(to_json(RegistrationAnswer{"w-1", 120}),
             [](const Json& v) { return to_json(registration_answer_from_json(v, "b", Blame::peer)); });
  check_body(to_json(LeaseRequest{"w-1", 20, 1}),
             [](const Json& v) { return to_json(lease_request_from_json(v, "b", Blame::peer)); });
  check_body(to_json(std::vector<Lease>{{5, sample_unit()}, {6, sample_unit()}}),
             [](const Json& v) { return to_json(leases_from_json(v, "b", Blame::peer)); });
  check_body(to_json(RenewRequest{"w-1", 5, "time"}),
             [](const Json& v) { return to_json(renew_request_from_json(v, "b", Blame::peer)); });
  check_body(results_to_json("w-1", {sample_measurement()}), [](const Json& v) {
    std::string worker;
    const std::vector<Measurement> results = results_from_json(v, worker, "b", Blame::peer);
    return results_to_json(worker, results);
  });
  check_body(to_json(std::vector<ResultAnswer>{{sample_unit().id, ResultVerdict::shadow, "late"}}),
             [](const Json& v) { return to_json(result_answers_from_json(v, "b", Blame::peer)); });
}

TEST_CASE("a registration of another protocol version says its version, whatever else it says") {
  const Json value = {{"protocol", 99}, {"anything", "else"}};
  CHECK(registration_from_json(value, "b", Blame::peer).protocol == 99);
}

TEST_CASE("numbers of the wire have ranges") {
  const auto refuses = [](Json value) { CHECK_THROWS_AS(lease_request_from_json(value, "b", Blame::peer), DataError); };
  refuses({{"worker", "w"}, {"wait_s", 61}, {"count", 1}});
  refuses({{"worker", "w"}, {"wait_s", nullptr}, {"count", 1}});
  refuses({{"worker", "w"}, {"wait_s", 1}, {"count", 0}});
  refuses({{"worker", ""}, {"wait_s", 1}, {"count", 1}});
  refuses({{"worker", std::string(1000, 'w')}, {"wait_s", 1}, {"count", 1}});
}

TEST_CASE("verdicts have names") {
  for (const auto& [verdict, name] : {std::pair{ResultVerdict::settled, "settled"},
                                      {ResultVerdict::repeated, "repeated"},
                                      {ResultVerdict::shadow, "shadow"},
                                      {ResultVerdict::invalid, "invalid"}})
    CHECK(name_of(verdict) == name);
}

}  // namespace
}  // namespace qb
