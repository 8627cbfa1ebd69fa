// The main job, through real processes, HTTP, SQLite and HDF5.
#include "tests/end_to_end/programs.h"

using namespace qb;

namespace {

const char* const kSmallStudy = R"({ "name": "small", "models": [ "glyphs-mlp" ],
  "quantizers": [ "float", "rtn:w8", "rtn:w4", "rtn:w8a8", "kmeans:w4a8" ], "kernels": [ "best", "reference" ],
  "accuracy": { "samples": 200, "calibration": 32 }, "measure": { "max_samples": 20, "time_limit_s": 0.1 }, "seed": 3 })";

}  // namespace

TEST_CASE("a study becomes a table and a run file that checks") {
  const Folder folder;
  const fs::path study = folder.write("small.json", kSmallStudy);
  const Ended run = quantbench(folder, {"run", study.string(), "--workers", "2", "--out", "out"});
  CHECK_MESSAGE(run.code == 0, run.err);
  for (const char* word : {"rtn:w8a8", "unsupported", "glyphs-mlp"})
    CHECK_MESSAGE(run.out.find(word) != std::string::npos, std::string(word), " is not in:\n", run.out);

  const fs::path file = run_file_in(folder.path() / "out");
  CHECK_MESSAGE(run.err.find("run.h5") != std::string::npos, run.err);
  const RunRecord record = read_run_file(file);
  check_complete(record, 10);
  for (const Measurement& measurement : record.measurements) {
    if (measurement.outcome == Outcome::unsupported) {
      CHECK(measurement.reason.find("t4t") !=
            std::string::npos);  // a table of 16 levels has no kernel for int8 activations yet
      CHECK(measurement.hot.time_ns.empty());
      continue;
    }
    CHECK(measurement.outcome == Outcome::ok);
    CHECK(measurement.items.index.size() == 200);
    CHECK(std::ssize(measurement.hot.time_ns) > measurement.hot.warmup);
    CHECK(measurement.kernel_error <= measurement.kernel_bound);
    CHECK(measurement.peak_bytes > 0);
    CHECK(measurement.packed_bytes > 0);
  }
  CHECK(quantbench(folder, {"check", file.string()}).code == 0);
  for (const char* format : {"terminal", "markdown", "csv", "json", "svg"}) {
    const Ended report = quantbench(folder, {"report", file.string(), "--format", format});
    CHECK(report.code == 0);
    CHECK(report.out.find("rtn:w4") != std::string::npos);
  }
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder.path()))
    CHECK_MESSAGE(entry.path().extension() != ".tmp", entry.path().string());
}

TEST_CASE("a unit whose kernel is wrong fails with the error and shows no latency") {
  const Folder folder;
  const fs::path study = folder.write(
      "faulty.json", R"({ "name": "faulty", "models": [ "glyphs-mlp" ], "quantizers": [ "rtn:w8", "rtn:w8a8" ],
    "kernels": [ "best", "gemm_f32_f32_faulty", "gemm_s8_q8_faulty" ], "accuracy": { "samples": 50, "calibration": 16 },
    "exclude": [ { "quantizer": "rtn:w8", "kernel": "gemm_s8_q8_faulty" }, { "quantizer": "rtn:w8a8", "kernel": "gemm_f32_f32_faulty" } ],
    "measure": { "max_samples": 20, "time_limit_s": 0.1 } })");
  Program program({program_path("quantbench-faulty"), "run", study.string(), "--out", "out"}, folder.path());
  CHECK(program.wait() == 4);
  const RunRecord record = read_run_file(run_file_in(folder.path() / "out"));
  check_complete(record, 4);
  for (std::size_t i = 0; i < record.plan.size(); ++i) {
    const Measurement& measurement = record.measurements[i];
    if (record.plan[i].unit.combination.kernel == "best") {
      CHECK(measurement.outcome == Outcome::ok);
      continue;
    }
    CHECK(measurement.outcome == Outcome::failed);
    CHECK_MESSAGE(measurement.reason.find("_faulty") != std::string::npos, measurement.reason);
    CHECK(measurement.hot.time_ns.empty());
    CHECK(measurement.cold.time_ns.empty());
  }
}
