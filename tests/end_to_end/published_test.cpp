// Others' models through the whole path give the counts that others found.
#include <array>

#include "tests/end_to_end/programs.h"
#include "tests/shared_data.h"

using namespace qb;

namespace {

struct Published {
  const char* model;
  const char* quantizer;
  std::int64_t hits, tolerance;
};

// ../shared/data/README.md. Tolerances are the issue's: one for float, two for quantized MNIST, three for keyword
// spotting, whose thousand samples hold more near ties: the order of float summation can move those, the codes cannot.
constexpr std::array kPublished = {
    Published{"mnist-cntk", "float", 9890, 1},
    Published{"mnist-cntk", "rtn:w8", 9891, 2},
    Published{"mnist-cntk", "rtn:w4", 9879, 2},
    Published{"mnist-cntk", "rtn:w3", 9806, 2},
    Published{"mnist-cntk", "rtn:w2", 2421, 2},
    Published{"mnist-cntk-8", "float", 9890, 1},
    Published{"mnist-burn", "float", 9916, 1},
    Published{"mnist-burn", "rtn:w8", 9916, 2},
    Published{"mnist-burn", "rtn:w4", 9906, 2},
    Published{"mnist-burn", "rtn:w2", 6863, 2},
    Published{"mnist-burn-safetensors", "float", 9917, 1},
    Published{"kws", "float", 901, 3},
    Published{"kws", "rtn:w8", 907, 3},
    Published{"kws", "rtn:w4", 821, 3},
    Published{"kws", "rtn:w3", 578, 3},
    Published{"kws", "rtn:w2", 89, 3},
    Published{"kws-qdq", "float", 902, 3},
    Published{"iris", "float", 147, 0},
};

const Measurement* find(const RunRecord& run, std::string_view model, std::string_view quantizer) {
  for (std::size_t i = 0; i < run.plan.size(); ++i)
    if (run.plan[i].unit.combination.model == model && run.plan[i].unit.combination.quantizer == quantizer)
      return &run.measurements[i];
  return nullptr;
}

std::int64_t hits(const Measurement& measurement) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i < measurement.items.top1.size(); ++i)
    count += measurement.items.top1[i] == measurement.items.target[i] ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("the study of published models gives the published counts") {
  if (shared_path("data/mnist-idx").empty() || shared_path("data/kws-mlperf-tiny").empty()) return;
  const Folder folder;
  const std::string study = (fs::path(QB_SOURCE_ROOT) / "configs/published.json").string();
  const std::string data = (fs::path(QB_SHARED_ROOT) / "data").string();
  const Ended run = quantbench(folder, {"run", study, "--data", data, "--out", "out", "--workers", "2"});
  REQUIRE_MESSAGE(run.code == 0, run.err);
  const RunRecord record = read_run_file(run_file_in(folder.path() / "out"));
  check_complete(record, 35);
  for (const Published& published : kPublished) {
    INFO(published.model << " " << published.quantizer);
    const Measurement* measurement = find(record, published.model, published.quantizer);
    REQUIRE(measurement != nullptr);
    CHECK(measurement->outcome == Outcome::ok);
    CHECK(std::abs(hits(*measurement) - published.hits) <= published.tolerance);
  }
}
