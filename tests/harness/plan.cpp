#include "harness/plan.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "kernels/base/error.h"
#include "kernels/base/text.h"
#include "kernels/registry.h"
#include "tests/harness/invented_study.h"

namespace qb {
namespace {

TEST_CASE("a plan is the product of the axes minus exclusions, each with its reason") {
  Study study = invented_study(3, 2, 2);
  study.exclude.push_back({.models = {},
                           .quantizers = {},
                           .hardware = {"old"},
                           .kernels = {"reference"},
                           .batch = {},
                           .threads = {},
                           .reason = "not wanted"});
  study.exclude.push_back({.models = {"model-0"},
                           .quantizers = {},
                           .hardware = {},
                           .kernels = {},
                           .batch = {2},
                           .threads = {},
                           .reason = "too big"});
  const Plan plan = make_plan(study);
  CHECK(plan.units.size() + plan.excluded.size() == 3 * 2 * 2 * 2 * 2);
  // Of 48: every fourth is old with reference (12). Model 0 at batch 2 is 2 * 4 = 8, of which 2 are among those
  // already.
  CHECK(plan.excluded.size() == 12 + 6);
  std::set<std::string> ids;
  for (std::size_t i = 0; i < plan.units.size(); ++i) {
    const WorkUnit unit = work_unit(plan, i);
    CHECK(unit.id == unit_id(unit));
    CHECK_FALSE((unit.combination.hardware == "old" && unit.combination.kernel == "reference"));
    CHECK(unit.isa == (unit.combination.hardware == "old" ? "avx2" : "best"));
    ids.insert(unit.id);
  }
  CHECK(ids.size() == plan.units.size());
}

TEST_CASE("a kernel that needs more than the cap allows is excluded with the reason") {
  Study study = invented_study(1, 1, 1);
  const KernelInfo* demanding = nullptr;
  for (const KernelInfo& kernel : kernels())
    if (!includes(isa_cap("avx2"), kernel.needs)) demanding = &kernel;
  if (!demanding) return;  // an architecture without x86's larger sets
  study.kernels = {"best", std::string(demanding->name)};
  const Plan plan = make_plan(study);
  REQUIRE(plan.excluded.size() == 1);
  CHECK(combination_of(plan.study, plan.excluded[0].point).hardware == "old");
  CHECK(plan.reasons[plan.excluded[0].reason].find("which the cap 'avx2' does not allow") != std::string::npos);
}

TEST_CASE("same study, same plan; another seed, another order of other units; any change, another run") {
  const Study study = invented_study(4, 5, 3);
  const Plan a = make_plan(study), b = make_plan(study);
  CHECK(a.digest == b.digest);
  CHECK(a.run_id == b.run_id);
  CHECK(a.run_id.size() == 16);
  bool in_axis_order = true;
  for (std::size_t i = 1; i < a.units.size(); ++i)
    in_axis_order = in_axis_order && a.units[i - 1].point.model <= a.units[i].point.model;
  CHECK_FALSE(in_axis_order);
  Study other = study;
  other.seed = 2;
  CHECK(make_plan(other).digest != a.digest);
  other = study;
  other.models[0].files[0].sha256[0] = 'f';
  CHECK(make_plan(other).run_id != a.run_id);
  other = study;
  other.name = "else";
  CHECK(make_plan(other).run_id != a.run_id);
}

TEST_CASE("names that look like the gaps of the quick way still get the right id") {
  Study study = invented_study(1, 1, 1);
  study.models[0].name = "?kernel?";
  study.measure.accuracy_samples = 50'000;
  study.seed = 987654321;
  study.quantizers = {"?quantizer?"};
  const Plan plan = make_plan(study);
  for (std::size_t i = 0; i < plan.units.size(); ++i) CHECK(id_text(plan.units[i]) == unit_id(work_unit(plan, i)));
}

TEST_CASE("a hundred thousand units have a hundred thousand ids, each that of its unit") {
  const Plan plan = make_plan(invented_study(25, 100, 10));
  REQUIRE(plan.units.size() == 100'000);
  std::set<std::array<std::uint8_t, 32>> ids;
  for (const PlannedUnit& unit : plan.units) ids.insert(unit.id);
  CHECK(ids.size() == plan.units.size());
  for (std::size_t i = 0; i < plan.units.size(); i += 997) CHECK(id_text(plan.units[i]) == unit_id(work_unit(plan, i)));
}

TEST_CASE("one unit can be asked for by the command that the plan gives for it") {
  Plan plan = make_plan(invented_study(2, 2, 1));
  plan.data_options = {"some/data"};
  const std::string command = reproduce_command(plan, 3);
  CHECK(command.starts_with("quantbench run invented.json --data some/data --unit "));
  const std::string prefix = command.substr(command.rfind(' ') + 1);
  const Plan part = only_units(plan, {prefix});
  REQUIRE(part.units.size() == 1);
  CHECK(part.units[0].id == plan.units[3].id);
  CHECK(part.run_id != plan.run_id);
  CHECK_THROWS_AS(only_units(plan, {"zz"}), InputError);
  CHECK_THROWS_AS(only_units(plan, {""}), InputError);
}

TEST_CASE("nothing to measure, or too much, is said") {
  Study study = invented_study(1, 1, 1);
  study.exclude.push_back({.models = {"model-0"},
                           .quantizers = {},
                           .hardware = {},
                           .kernels = {},
                           .batch = {},
                           .threads = {},
                           .reason = "all"});
  CHECK_THROWS_WITH_AS(make_plan(study), doctest::Contains("leaves nothing to measure"), InputError);
  study = invented_study(1, 1, 1);
  study.quantizers.resize(1 << 16);
  study.batch.resize(1 << 16);
  CHECK_THROWS_WITH_AS(make_plan(study), doctest::Contains("exceeds"), InputError);
}

/// What a POSIX shell hands to a program for these words.
std::string through_a_shell(const std::string& words) {
  std::FILE* shell = ::popen(("for word in " + words + "; do printf '%s\\001' \"$word\"; done").c_str(), "r");
  REQUIRE(shell);
  std::string text;
  for (int c = 0; (c = std::fgetc(shell)) != EOF;) text.push_back(char(c));
  CHECK(::pclose(shell) == 0);
  return text;
}

TEST_CASE("command lines survive a shell, whatever paths hold") {
  for (const std::string word : {"plain/path-1.json", "two words", "", "it's", "$HOME", "a\\b", "*", "~", "x;y", "a\"b",
                                 "`id`", "#no", "new\nline", "ü"})
    CHECK(through_a_shell(shell_word(word)) == word + "\001");
  CHECK(shell_word("configs/quickstart.json") == "configs/quickstart.json");
  Study study = invented_study(1, 1, 1);
  study.path = "my studies/it's.json";
  Plan plan = make_plan(study);
  plan.data_options = {"/data/big disk"};
  CHECK(through_a_shell(reproduce_command(plan, 0)) ==
        "quantbench\001run\001my studies/it's.json\001--data\001/data/big disk\001--unit\001" +
            id_text(plan.units[0]).substr(0, 16) + "\001");
}

TEST_CASE("ids are read from 64 lower-case hexadecimal digits and nothing else") {
  const Plan plan = make_plan(invented_study(1, 1, 1));
  const std::string text = id_text(plan.units[0]);
  CHECK(parse_id(text) == plan.units[0].id);
  for (const std::string& bad : {std::string(), text.substr(1), text + "0", std::string(64, 'A'), std::string(64, 'g'),
                                 std::string(64, '/'), std::string(64, ':')})
    CHECK_FALSE(parse_id(bad));
}

TEST_CASE("the plan as text and as JSON names every unit and exclusion") {
  Study study = invented_study(1, 2, 1);
  study.exclude.push_back({.models = {},
                           .quantizers = {},
                           .hardware = {},
                           .kernels = {"reference"},
                           .batch = {},
                           .threads = {},
                           .reason = "not wanted"});
  const Plan plan = make_plan(study);
  const std::string text = plan_text(plan);
  for (const PlannedUnit& unit : plan.units) CHECK(text.find(id_text(unit).substr(0, 16)) != std::string::npos);
  CHECK(text.find("not wanted") != std::string::npos);
  const Json json = plan_json(plan);
  CHECK(json["units"].size() == 4);
  CHECK(json["excluded"].size() == 4);
  CHECK(json["excluded"][0]["reason"] == "not wanted");
}

}  // namespace
}  // namespace qb
