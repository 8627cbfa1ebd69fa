#include "harness/doctor.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <nlohmann/json.hpp>

#include "kernels/base/text.h"
#include "tests/harness/temporary_folder.h"
#include "workers/records/hardware_profile.h"

namespace qb {
namespace {

TEST_CASE("the doctor's facts have a profile, peaks, noise and advice, and all of it in words") {
  const TemporaryFolder cache;
  ::setenv("XDG_CACHE_HOME", cache.path().c_str(), 1);
  const Json facts = machine_facts();
  ::unsetenv("XDG_CACHE_HOME");
  const HardwareProfile profile = profile_from_json(facts["profile"], "facts", Blame::peer);
  CHECK(profile.machine_key.size() == 64);
  CHECK(profile.peak_read_bytes_per_s > 0);
  CHECK(profile.peak_s8_ops_per_s > 0);
  CHECK(profile.peak_f32_ops_per_s > 0);
  CHECK(facts["noise"]["cpu_over_wall"].is_number());
  CHECK(facts["system"]["processors here"].get<int>() >= 1);
  CHECK(facts["advice"].is_array());
  const std::string text = machine_text(facts);
  for (const std::string& word :
       {profile.cpu_model, profile.machine_key, std::string("read bandwidth"), std::string("timer")})
    CHECK(text.find(word) != std::string::npos);
  for (const Json& sentence : facts["advice"])
    CHECK(text.find("- " + sentence.get<std::string>()) != std::string::npos);
  for (const std::string_view line : split(text, '\n')) CHECK(valid_utf8(line));
}

}  // namespace
}  // namespace qb
