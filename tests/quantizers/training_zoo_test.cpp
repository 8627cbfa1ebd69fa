// The shipped files are what the trainer makes and what model.json says of them.
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "kernels/base/digest.h"
#include "kernels/base/files.h"
#include "quantizers/training/fit.h"
#include "quantizers/training/zoo.h"

namespace fs = std::filesystem;

namespace qb {
namespace {

const fs::path kZoo = fs::path(QB_SOURCE_ROOT) / "configs/zoo";

}  // namespace

TEST_CASE("every shipped model has its digest, its graph and its accuracy") {
  for (const ZooModel& model : zoo_models()) {
    const fs::path folder = kZoo / model.name;
    CAPTURE(folder.string());
    const Json json = Json::parse(read_file(folder / "model.json"));
    const std::string weights = read_file(folder / "weights.safetensors");
    CHECK(weights.size() < 300 * 1024);
    CHECK(json["sha256"] == sha256_hex(weights));
    CHECK(json["task"] == name_of(model.task));
    const Network network = model.network();
    CHECK(to_json_text(graph_from_json(json["graph"].dump(), "graph")) == to_json_text(network.graph));

    const Json& options = json["dataset"][std::string(model.kind)];
    const auto count = json["trained"]["test_samples"].get<std::int64_t>();
    const Dataset test = model.kind == "grammar"
                             ? grammar(grammar_options(options, "options", Blame::peer), "test", count, 1)
                             : glyphs(glyphs_options(options, "options", Blame::peer), "test", count, 1, 2);
    const LossSum loss = evaluate(network.graph, read_safetensors(weights, "weights"), test, 2);
    CHECK(double(loss.correct) / double(count) == json["trained"]["accuracy"].get<double>());
    CHECK(loss.nats / double(count) == json["trained"]["loss_nats"].get<double>());
    if (model.task == Task::language) CHECK(loss.nats / double(count) > test.entropy_rate_nats);
  }
}

TEST_CASE("training grammar-mlp again makes the shipped files, byte for byte") {
  const fs::path scratch = fs::temp_directory_path() / ("quantbench-train-" + std::to_string(::getpid()));
  train_zoo_model("grammar-mlp", scratch);
  for (const char* file : {"model.json", "weights.safetensors"})
    CHECK(sha256_file(scratch / "grammar-mlp" / file) == sha256_file(kZoo / "grammar-mlp" / file));
  fs::remove_all(scratch);
}

}  // namespace qb
