// Kill anything at any time, resume, and get the same run.
#include "tests/end_to_end/programs.h"

#include <algorithm>
#include <map>

using namespace qb;

namespace {

const char* const kStudy = R"({ "name": "faults", "models": [ "glyphs-mlp", "glyphs-cnn" ],
  "quantizers": [ "float", "rtn:w8", "rtn:w4", "rtn:w3", "rtn:w8a8", "kmeans:w4" ],
  "accuracy": { "samples": 200, "calibration": 32 }, "measure": { "max_samples": 20, "time_limit_s": 0.2 } })";
constexpr std::size_t kUnits = 12;

/// Process ids of running programs called `name` whose command line holds `word`.
std::vector<pid_t> processes(const std::string& name, const std::string& word) {
  std::vector<pid_t> found;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
    const std::string id = entry.path().filename().string();
    if (id.find_first_not_of("0123456789") != std::string::npos) continue;
    std::string line = text_of(entry.path() / "cmdline");
    if (line.find(word) == std::string::npos) continue;
    if (fs::path(line.substr(0, line.find('\0'))).filename() == name) found.push_back(pid_t(std::stol(id)));
  }
  return found;
}

/// Waits until workers have had the settlement of at least `count` units acknowledged; their logs say so.
void wait_for_settled(const Program& program, const Folder& folder, std::size_t count) {
  for (int i = 0; i < 3000; ++i) {
    std::size_t settled = 0;
    std::error_code error;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder.path() / "out", error)) {
      if (entry.path().extension() != ".log") continue;
      const std::string log = text_of(entry.path());
      for (std::size_t at = 0; (at = log.find("settled", at)) != std::string::npos; ++at) ++settled;
    }
    if (settled >= count) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  FAIL("the run made no progress: " << program.err());
}

/// Accuracy outcomes by unit: what a fault must not change.
std::map<std::string, std::vector<std::int32_t>> answers(const RunRecord& run) {
  std::map<std::string, std::vector<std::int32_t>> result;
  for (const Measurement& measurement : run.measurements) result[measurement.unit] = measurement.items.top1;
  return result;
}

std::vector<std::string> run_words(const fs::path& study) {
  return {program_path("quantbench"), "run", study.string(), "--workers", "2", "--out", "out"};
}

}  // namespace

TEST_CASE("kill -9 of a worker and of the coordinator loses nothing and repeats nothing") {
  const Folder calm;
  const fs::path study = calm.write("faults.json", kStudy);
  REQUIRE(quantbench(calm, {"run", study.string(), "--workers", "2", "--out", "out"}).code == 0);
  const RunRecord wanted = read_run_file(run_file_in(calm.path() / "out"));
  check_complete(wanted, kUnits);

  const Folder folder;
  {
    Program program(run_words(study), folder.path());
    wait_for_settled(program, folder, 2);
    const std::vector<pid_t> workers = processes("quantbench-worker", folder.path().string());
    REQUIRE(!workers.empty());
    ::kill(workers.front(), SIGKILL);
    wait_for_settled(program, folder, 4);
    ::kill(program.pid(), SIGKILL);
    CHECK(program.wait() == 128 + SIGKILL);
    program.kill_group();
  }
  std::vector<std::string> words = run_words(study);
  words.push_back("--resume");
  Program resumed(words, folder.path());
  CHECK_MESSAGE(resumed.wait() == 0, resumed.err());
  const RunRecord got = read_run_file(run_file_in(folder.path() / "out"));
  check_complete(got, kUnits);
  CHECK(got.run_id == wanted.run_id);
  CHECK(answers(got) == answers(wanted));
  CHECK(quantbench(folder, {"check", run_file_in(folder.path() / "out").string()}).code == 0);
}

TEST_CASE("a run that was asked to stop says how to go on, and goes on") {
  const Folder folder;
  const fs::path study = folder.write("faults.json", kStudy);
  {
    Program program(run_words(study), folder.path());
    wait_for_settled(program, folder, 1);
    ::kill(program.pid(), SIGINT);
    CHECK(program.wait() != 0);
    CHECK_MESSAGE((program.out() + program.err()).find("--resume") != std::string::npos, program.err());
  }
  std::vector<std::string> words = run_words(study);
  words.push_back("--resume");
  Program resumed(words, folder.path());
  CHECK_MESSAGE(resumed.wait() == 0, resumed.err());
  check_complete(read_run_file(run_file_in(folder.path() / "out")), kUnits);
}
