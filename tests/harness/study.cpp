#include "harness/study.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "harness/data_folders.h"
#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "kernels/registry.h"

namespace qb {
namespace {

/// The shipped models are found beside the sources, wherever the test runs.
DataRoots roots() { return {{std::filesystem::path(QB_SOURCE_ROOT) / "configs"}}; }

std::string refusal_of(const std::string& text) {
  try {
    parse_study(text, "s.json", roots());
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

std::string study_with(const std::string& member) {
  return R"({"name": "s", "models": ["glyphs-mlp"], "quantizers": ["float", "rtn:w8"], )" + member + "}";
}

TEST_CASE("a study says what it says, and defaults for the rest") {
  const Study study = parse_study(study_with(R"(
      // comments are allowed
      "hardware": [{"name": "any"}, {"name": "old", "isa": "avx2", "match": "Xeon"}], "kernels": ["best", "reference"],
      "threads": [1, 2], "batch": [1, 64], "accuracy": {"samples": 500, "calibration": 64},
      "measure": {"min_samples": 5, "max_samples": 50, "relative_width": 0.05, "time_limit_s": 2.5, "cold": false},
      "limits": {"seconds": 30, "memory_bytes": 1000000},
      "exclude": [{"kernel": "reference", "hardware": ["old"], "batch": 64, "reason": "slow"}], "seed": 7, "workers": 3)"),
                                  "s.json", roots());
  CHECK(study.models[0].name == "glyphs-mlp");
  CHECK(study.quantizers == std::vector<std::string>{"float", "rtn:w8"});
  CHECK(study.hardware[1].isa == "avx2");
  CHECK(study.hardware[1].match == "Xeon");
  CHECK(study.threads == std::vector<std::int64_t>{1, 2});
  CHECK(study.measure.accuracy_samples == 500);
  CHECK(study.measure.calibration_samples == 64);
  CHECK(study.measure.max_samples == 50);
  CHECK(study.measure.time_limit_s == 2.5);
  CHECK_FALSE(study.measure.cold);
  CHECK(study.limits.memory_bytes == 1000000);
  CHECK(study.exclude[0].reason == "slow");
  CHECK(study.exclude[0].batch == std::vector<std::int64_t>{64});
  CHECK(study.seed == 7);
  CHECK(study.workers == 3);
  const Study plain = parse_study(study_with(R"("seed": 1)"), "s.json", roots());
  CHECK(plain.hardware[0].name == "best");
  CHECK(plain.kernels == std::vector<std::string>{"best"});
  CHECK(plain.batch == std::vector<std::int64_t>{1});
  CHECK(plain.workers == 2);
}

TEST_CASE("every slip is refused in one sentence that names study, key, and what is accepted") {
  struct Slip {
    std::string text, wanted;
  };
  const Slip slips[] = {
      {"", "s.json: not valid JSON"},
      {"[]", "s.json: expected an object"},
      {study_with(R"("quantisers": [])"), "unknown key 'quantisers'; did you mean 'quantizers'?"},
      {R"({"name": "s", "models": ["glyphs-mlp"]})", "key 'quantizers' is missing"},
      {R"({"name": "s", "models": [], "quantizers": ["float"]})", "key 'models' is an empty list"},
      {R"({"name": "../x", "models": ["glyphs-mlp"], "quantizers": ["float"]})", "key 'name' is '../x'"},
      {R"({"name": "s", "models": ["glyphs-mpl"], "quantizers": ["float"]})", "did you mean 'glyphs-mlp'?"},
      {R"({"name": "s", "models": ["glyphs-mlp", "glyphs-mlp"], "quantizers": ["float"]})",
       "key 'models' names 'glyphs-mlp' twice"},
      {R"({"name": "s", "models": ["glyphs-mlp"], "quantizers": ["rtn:w5x"]})",
       "key 'quantizers', element 1: quantizer 'rtn:w5x'"},
      {R"({"name": "s", "models": ["glyphs-mlp"], "quantizers": ["rtm:w8"]})", "rtn"},
      {R"({"name": "s", "models": ["glyphs-mlp"], "quantizers": ["rtn:w8", "rtn:w8"]})",
       "key 'quantizers' names 'rtn:w8' twice"},
      {R"({"name": "s", "models": ["glyphs-mlp"], "quantizers": "float"})", "key 'quantizers' must be a list"},
      {study_with(R"("hardware": ["best"])"), "key 'hardware', element 1: expected an object"},
      {study_with(R"("hardware": [{"name": "a", "isa": "avx-2"}])"), "avx2"},
      {study_with(R"("hardware": [{"name": "a"}, {"name": "a"}])"), "key 'hardware' names 'a' twice"},
      {study_with(R"("kernels": ["fastest"])"), "key 'kernels', element 1"},
      {study_with(R"("threads": [0])"), "key 'threads' holds 0; accepted is 1 to"},
      {study_with(R"("batch": [1, 1])"), "key 'batch' names '1' twice"},
      {study_with(R"("batch": [1.5])"), "key 'batch' must be a list of whole numbers"},
      {study_with(R"("accuracy": {"sample": 3})"), "key 'accuracy': unknown key 'sample'; did you mean 'samples'?"},
      {study_with(R"("accuracy": {"samples": -1})"), "key 'samples' is -1"},
      {study_with(R"("measure": {"min_samples": 20, "max_samples": 10})"), "less than min_samples"},
      {study_with(R"("measure": {"relative_width": 0})"), "key 'relative_width' is 0"},
      {study_with(R"("limits": {"seconds": 0})"), "key 'seconds' is 0"},
      {study_with(R"("limits": {"memory": 5})"), "known are memory_bytes and seconds"},
      {study_with(R"("exclude": [{}])"), "names nothing to exclude"},
      {study_with(R"("exclude": [{"model": "glyph-mlp"}])"), "not on the study's axis; did you mean 'glyphs-mlp'?"},
      {study_with(R"("exclude": [{"quantizer": "rtn:w4"}])"), "not on the study's axis"},
      {study_with(R"("exclude": [{"batch": 2}])"), "names 2, which is not on the study's axis"},
      {study_with(R"("exclude": [{"kernels": "best"}])"), "did you mean 'kernel'?"},
      {study_with(R"("seed": -1)"), "key 'seed' is -1"},
      {study_with(R"("seed": 1, "seed": 2)"), "key 'seed' stands twice"},
      {study_with(R"("workers": 0)"), "key 'workers' is 0"},
  };
  for (const Slip& slip : slips) {
    CAPTURE(slip.text);
    const std::string said = refusal_of(slip.text);
    CAPTURE(said);
    CHECK(said.starts_with("s.json: "));
    CHECK(said.find(slip.wanted) != std::string::npos);
    CHECK(said.find('\n') == std::string::npos);
  }
}

TEST_CASE("every truncation of a study is refused as what it is") {
  const std::string whole = study_with(R"("exclude": [{"quantizer": "float", "batch": [1]}], "batch": [1, 2])");
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK(refusal_of(whole.substr(0, size)).starts_with("s.json: not valid JSON"));
  CHECK(refusal_of(whole) == "accepted");
}

TEST_CASE("a study that is not there is the user's slip") {
  CHECK_THROWS_AS(read_study("no/such/study.json", roots()), InputError);
  CHECK_THROWS_AS(read_study(QB_SOURCE_ROOT, roots()), InputError);
}

TEST_CASE("the shipped first study is a good one") {
  const Study study = read_study(std::filesystem::path(QB_SOURCE_ROOT) / "configs/quickstart.json", roots());
  CHECK(study.models.size() >= 2);
  CHECK(study.quantizers.size() >= 8);
  CHECK(study.hardware.size() >= 2);
}

}  // namespace
}  // namespace qb
