// Records survive a round trip, and nothing that is not a record gets in.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/base/error.h"
#include "kernels/base/random.h"
#include "tests/workers/sample_records.h"

namespace qb {
namespace {

using Reader = std::function<Json(const Json&)>;

Json reread_measurement(const Json& value) { return to_json(measurement_from_json(value, "m", Blame::peer)); }
Json reread_unit(const Json& value) { return to_json(unit_from_json(value, "u", Blame::peer)); }
Json reread_profile(const Json& value) { return to_json(profile_from_json(value, "p", Blame::peer)); }

/// Every prefix of a document is refused with DataError.
void check_truncations(const std::string& text, const Reader& reread) {
  for (std::size_t size = 0; size < text.size(); ++size) {
    INFO("prefix of " << size << " bytes");
    CHECK_THROWS_AS(reread(parse_json(text.substr(0, size), "t", Blame::peer)), DataError);
  }
}

/// Damaged bytes either are refused with DataError or still make a record that reads back as itself.
void check_mutations(const std::string& text, const Reader& reread) {
  constexpr std::string_view kBytes = "0-9eE.,:{}[]\"nN x\\\x01\xff";
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    std::string damaged = text;
    damaged[random.below(damaged.size())] = kBytes[random.below(kBytes.size())];
    if (random.below(2) == 0) damaged.erase(random.below(damaged.size()), 1 + random.below(4));
    try {
      const Json once = reread(parse_json(damaged, "t", Blame::peer));
      CHECK(reread(once) == once);
    } catch (const DataError&) {
      ++refused;
    }
  }
  CHECK(refused > 2000);
}

/// Every member replaced by a value of another type, or left out, is refused with DataError.
void check_types(const Json& value, const Reader& reread, const std::function<bool(const std::string&)>& may_be_null) {
  for (const auto& [key, member] : value.items()) {
    INFO("key " << key);
    Json without = value;
    without.erase(key);
    CHECK_THROWS_AS(reread(without), DataError);
    for (const Json& other :
         {Json(nullptr), Json("x"), Json(-5), Json(1e308), Json(true), Json::array({1}), Json::object()}) {
      if (other.type() == member.type() || (member.is_number() && other.is_number())) continue;
      if (other.is_null() && may_be_null(key)) continue;
      if (member.is_null() && other.is_number()) continue;
      INFO("as " << other.dump());
      Json changed = value;
      changed[key] = other;
      CHECK_THROWS_AS(reread(changed), DataError);
    }
  }
  Json more = value;
  more["unheard_of"] = 1;
  CHECK_THROWS_AS(reread(more), DataError);
}

bool is_number_of_measurement(const std::string& key) {
  return key.ends_with("_s") || key.ends_with("_db") || key.starts_with("kernel_") || key.starts_with("bits_per") ||
         key == "output_cosine";
}

TEST_CASE("a measurement reads back as written, missing numbers included") {
  const Json value = to_json(sample_measurement());
  const std::string text = canonical_text(value);
  CHECK(canonical_text(reread_measurement(parse_json(text, "m", Blame::peer))) == text);
  const Measurement back = measurement_from_json(value, "m", Blame::peer);
  CHECK(back.items.kl == sample_measurement().items.kl);
  CHECK(back.items.float_hit5 == sample_measurement().items.float_hit5);
  CHECK(back.items.hit5 == sample_measurement().items.hit5);
  CHECK(back.hot.time_ns == sample_measurement().hot.time_ns);
  CHECK(back.layers.at(0).time_share == 0.25);
  CHECK(std::isnan(back.quantize_s));
  CHECK(std::isnan(back.layers.at(0).kernel_error));
  CHECK(value.at("quantize_s").is_null());
}

TEST_CASE("a damaged measurement is refused and never a crash") {
  const Json value = to_json(sample_measurement());
  const std::string text = canonical_text(value);
  check_truncations(text, reread_measurement);
  check_mutations(text, reread_measurement);
  check_types(value, reread_measurement, is_number_of_measurement);
}

TEST_CASE("columns of a measurement must fit each other and their ranges") {
  const auto refuses = [](const std::function<void(Json&)>& change) {
    Json value = to_json(sample_measurement());
    change(value);
    CHECK_THROWS_AS(measurement_from_json(value, "m", Blame::peer), DataError);
  };
  refuses([](Json& v) { v["items"]["kl"].push_back(0.5); });
  refuses([](Json& v) { v["items"]["kl"][0] = nullptr; });
  refuses([](Json& v) { v["items"]["kl"][0] = -1; });
  refuses([](Json& v) { v["items"]["top1"][0] = std::int64_t(1) << 31; });
  refuses([](Json& v) { v["items"]["index"][0] = -1; });
  refuses([](Json& v) { v["items"]["hit5"][0] = 2; });
  refuses([](Json& v) { v["items"]["float_hit5"][0] = true; });
  refuses([](Json& v) { v["items"]["float_hit5"].push_back(1); });
  refuses([](Json& v) { v["items"].erase("hit5"); });
  refuses([](Json& v) { v["items"]["log_likelihood"][0] = 0.5; });
  refuses([](Json& v) { v["hot"]["iterations"][0] = 0; });
  refuses([](Json& v) { v["hot"]["time_ns"][0] = 0.0; });
  refuses([](Json& v) { v["hot"]["warmup"] = 3; });
  refuses([](Json& v) { v["hot"]["stopped_by"] = "luck"; });
  refuses([](Json& v) { v["hot"]["time_ns"].push_back(1.0); });
  refuses([](Json& v) { v["hot"]["time_ns"] = std::vector<double>(100'001, 1.0); });
  refuses([](Json& v) { v["layers"][0]["time_share"] = 1.5; });
  refuses([](Json& v) { v["epoch"] = std::uint64_t(1) << 63; });
  refuses([](Json& v) { v["packed_bytes"] = -2; });
  refuses([](Json& v) { v["reason"] = "although it is ok"; });
  refuses([](Json& v) { v["unit"] = "ABC"; });
}

TEST_CASE("an outcome other than ok carries a reason and no numbers") {
  Measurement failed = without_numbers(sample_measurement(), Outcome::failed, "node 'conv1' is\nwrong");
  CHECK(failed.reason == "node 'conv1' is wrong");
  CHECK_NOTHROW(measurement_from_json(to_json(failed), "m", Blame::peer));
  const auto refuses = [&](const std::function<void(Measurement&)>& change) {
    Measurement changed = failed;
    change(changed);
    CHECK_THROWS_AS(measurement_from_json(to_json(changed), "m", Blame::peer), DataError);
  };
  refuses([](Measurement& m) { m.reason.clear(); });
  refuses([](Measurement& m) { m.hot = sample_measurement().hot; });
  refuses([](Measurement& m) { m.items = sample_measurement().items; });
  refuses([](Measurement& m) { m.layers = sample_measurement().layers; });
  refuses([](Measurement& m) { m.load_s = 0; });
  refuses([](Measurement& m) { m.kernel_error = 0; });
  refuses([](Measurement& m) { m.peak_bytes = 0; });
  refuses([](Measurement& m) { m.repeatable = true; });
  failed.passing = true;
  CHECK(measurement_from_json(to_json(failed), "m", Blame::peer).passing);
  for (const Outcome outcome : {Outcome::unsupported, Outcome::timed_out, Outcome::mistrusted})
    refuses([&](Measurement& m) { m.outcome = outcome; });
  refuses([](Measurement& m) { m.outcome = Outcome::ok, m.reason.clear(); });
}

TEST_CASE("a record's text is its JSON, and its digest forgets the attempt and nothing else") {
  const Json whole = to_json(sample_measurement());
  CHECK(Json::parse(record_text(whole).text) == whole);
  CHECK(record_text(whole).digest == measurement_digest(sample_measurement()));
  const std::string digest = measurement_digest(sample_measurement());
  Measurement other = sample_measurement();
  other.worker = "w-2";
  other.epoch = 9;
  other.started_utc = "2026-02-01T00:00:00Z";
  other.wall_s = 3;
  CHECK(measurement_digest(other) == digest);
  other.hot.time_ns[0] += 1;
  CHECK(measurement_digest(other) != digest);
}

TEST_CASE("text from anywhere becomes one valid line") {
  CHECK(speakable("a\tb\x7f\n") == "a b  ");
  CHECK(speakable("caf\xc3\xa9") == "caf\xc3\xa9");
  CHECK(speakable("caf\xe9") == "caf?");
  CHECK(speakable(std::string(1999, 'x') + "\xc3\xa9") == std::string(1999, 'x'));
}

TEST_CASE("outcomes have names, and a slip of the pen is answered with the nearest") {
  for (const Outcome outcome :
       {Outcome::ok, Outcome::unsupported, Outcome::failed, Outcome::timed_out, Outcome::mistrusted})
    CHECK(parse_outcome(name_of(outcome), "t", Blame::peer) == outcome);
  CHECK_THROWS_WITH_AS(parse_outcome("timedout", "t", Blame::user), doctest::Contains("did you mean 'timed_out'?"),
                       InputError);
}

TEST_CASE("a unit reads back as written and its id covers everything") {
  const WorkUnit unit = sample_unit();
  const Json value = to_json(unit);
  const WorkUnit back = unit_from_json(parse_json(canonical_text(value), "u", Blame::peer), "u", Blame::peer);
  CHECK(back.combination == unit.combination);
  CHECK(back.seed == unit.seed);
  CHECK(back.id == unit.id);
  CHECK(unit_id(back) == unit.id);
  WorkUnit other = unit;
  other.model.files[0].sha256 = sha256_hex("another model");
  CHECK(unit_id(other) != unit.id);
  other.id = unit.id;
  CHECK_THROWS_WITH_AS(unit_from_json(to_json(other), "u", Blame::peer), doctest::Contains("digest"), DataError);
}

TEST_CASE("a damaged unit is refused: every change of meaning changes the id") {
  const Json value = to_json(sample_unit());
  const std::string text = canonical_text(value);
  check_truncations(text, reread_unit);
  check_types(value, reread_unit, [](const std::string&) { return false; });
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string damaged = text;
    damaged[i] = char(damaged[i] ^ 1);
    INFO("byte " << i << ": " << damaged);
    CHECK_THROWS_AS(reread_unit(parse_json(damaged, "t", Blame::peer)), DataError);
  }
}

TEST_CASE("options of a unit have sane ranges") {
  const auto refuses = [](const std::function<void(WorkUnit&)>& change) {
    WorkUnit unit = sample_unit();
    change(unit);
    unit.id = unit_id(unit);
    CHECK_THROWS_AS(unit_from_json(to_json(unit), "u", Blame::user), InputError);
  };
  refuses([](WorkUnit& u) { u.combination.batch = 0; });
  refuses([](WorkUnit& u) { u.combination.threads = 0; });
  refuses([](WorkUnit& u) { u.combination.kernel.clear(); });
  refuses([](WorkUnit& u) { u.isa = "avx9"; });
  refuses([](WorkUnit& u) { u.measure.min_samples = u.measure.max_samples + 1; });
  refuses([](WorkUnit& u) { u.measure.max_samples = 100'000'000; });
  refuses([](WorkUnit& u) { u.measure.accuracy_samples = -1; });
  refuses([](WorkUnit& u) { u.measure.relative_width = 0; });
  refuses([](WorkUnit& u) { u.measure.time_limit_s = 1e9; });
  refuses([](WorkUnit& u) { u.limits.seconds = 0; });
  refuses([](WorkUnit& u) { u.limits.memory_bytes = -1; });
}

TEST_CASE("a profile reads back as written; damage is refused") {
  const Json value = to_json(sample_profile());
  const std::string text = canonical_text(value);
  CHECK(canonical_text(reread_profile(parse_json(text, "p", Blame::peer))) == text);
  check_truncations(text, reread_profile);
  check_mutations(text, reread_profile);
  check_types(value, reread_profile, [](const std::string& key) {
    return key.starts_with("peak_") || key.starts_with("timer_") || key == "aa_noise";
  });
}

}  // namespace
}  // namespace qb
