// Trains every shipped model in full: minutes, hence a program and a label of its own.
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "kernels/base/digest.h"
#include "kernels/base/parallel.h"
#include "quantizers/training/zoo.h"

namespace fs = std::filesystem;

namespace qb {

TEST_CASE("training again makes the shipped files, byte for byte") {
  const fs::path zoo = fs::path(QB_SOURCE_ROOT) / "configs/zoo";
  const fs::path scratch = fs::temp_directory_path() / ("quantbench-zoo-again-" + std::to_string(::getpid()));
  for (const ZooModel& model : zoo_models()) {
    CAPTURE(std::string(model.name));
    train_zoo_model(model.name, scratch, {}, {.threads = hardware_threads()});
    for (const char* file : {"model.json", "weights.safetensors"})
      CHECK(sha256_file(scratch / model.name / file) == sha256_file(zoo / model.name / file));
  }
  fs::remove_all(scratch);
}

}  // namespace qb
