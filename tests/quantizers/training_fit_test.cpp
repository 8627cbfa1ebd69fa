#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kernels/base/digest.h"
#include "kernels/base/files.h"
#include "quantizers/training/fit.h"
#include "quantizers/training/optimizer.h"
#include "quantizers/training/tape.h"
#include "quantizers/training/zoo.h"

namespace fs = std::filesystem;

namespace qb {
namespace {

/// A folder that is gone when the test ends.
struct ScratchFolder {
  fs::path path = fs::temp_directory_path() / ("quantbench-zoo-" + std::to_string(::getpid()));
  ScratchFolder() { fs::create_directories(path); }
  ~ScratchFolder() { fs::remove_all(path); }
};

}  // namespace

TEST_CASE("Adam's first steps by hand") {
  // With g = 3 the corrected moments are 3 and 9 after every step, hence each step is the rate.
  TensorMap parameters, gradients;
  parameters.emplace("w", tensor_of({1}, std::array{1.0f}));
  gradients.emplace("w", tensor_of({1}, std::array{3.0f}));
  Adam adam(parameters);
  for (int t = 1; t <= 4; ++t) {
    adam.step(parameters, gradients, 0.125);
    CHECK(double(parameters.find("w")->second.as<float>()[0]) == doctest::Approx(1.0 - 0.125 * t).epsilon(1e-5));
  }
  gradients.find("w")->second.as<float>()[0] = 0.0f;
  // m = 0.9 * (1 - 0.9^4) * 3, v = 0.999 * (1 - 0.999^4) * 9, corrected by 1 - 0.9^5 and 1 - 0.999^5.
  const double mean = 0.9 * (1 - std::pow(0.9, 4)) * 3 / (1 - std::pow(0.9, 5));
  const double square = 0.999 * (1 - std::pow(0.999, 4)) * 9 / (1 - std::pow(0.999, 5));
  adam.step(parameters, gradients, 0.125);
  CHECK(double(parameters.find("w")->second.as<float>()[0]) ==
        doctest::Approx(0.5 - 0.125 * mean / std::sqrt(square)).epsilon(1e-4));
}

TEST_CASE("the rate rises, then follows half a cosine") {
  for (const std::int64_t step : {50, 51, 300, 500, 750, 999})
    CHECK(cosine_rate(2.0, step, 1000) ==
          doctest::Approx(1.0 + std::cos(3.14159265358979323846 * double(step) / 1000)).epsilon(1e-12));
  CHECK(cosine_rate(2.0, 0, 1000) == doctest::Approx(2.0 / 51).epsilon(1e-12));
  CHECK(cosine_rate(2.0, 0, 1) == doctest::Approx(2.0).epsilon(1e-12));
}

TEST_CASE("training learns, and gives the same bits on any number of threads") {
  const ZooModel& model = zoo_models()[2];
  const Network start = model.network();
  std::vector<std::string> digests;
  for (const int threads : {1, 2, 3}) {
    TensorMap weights = start.weights;
    initialize(weights, 7);
    std::vector<double> losses;
    fit(
        start.graph, weights, [](int) { return grammar({}, "train", 2000, 9); },
        {.epochs = 4, .batch = 64, .learning_rate = 5e-3, .seed = 1, .threads = threads},
        [&](const EpochReport& epoch) { losses.push_back(epoch.loss_nats); });
    REQUIRE(losses.size() == 4);
    CHECK(losses[0] > 2.2);  // ln 16 = 2.77 is blind guessing
    CHECK(losses[3] < losses[0] - 0.3);
    digests.push_back(sha256_hex(write_safetensors(weights)));
    const Dataset test = grammar({}, "test", 333, 1);
    const LossSum one = evaluate(start.graph, weights, test, 1), some = evaluate(start.graph, weights, test, 3);
    CHECK(one.nats == some.nats);
    CHECK(one.correct == some.correct);
  }
  CHECK(digests[1] == digests[0]);
  CHECK(digests[2] == digests[0]);
}

TEST_CASE("samples that do not fit are refused") {
  Network network = zoo_models()[2].network();
  const auto glyph_source = [](int) { return glyphs({}, "train", 64, 1); };
  CHECK_THROWS_WITH_AS(fit(network.graph, network.weights, glyph_source, {}), doctest::Contains("do not fit"),
                       DataError);
  const auto few = [](int) { return grammar({}, "train", 63, 1); };
  CHECK_THROWS_WITH_AS(fit(network.graph, network.weights, few, {}), doctest::Contains("batch of 64"), DataError);
}

TEST_CASE("a shortened schedule writes the same files on any number of threads and any machine") {
  // Recorded once: a processor or compiler that rounds one sum differently fails here.
  const std::map<std::string, std::string> recorded = {
      {"glyphs-mlp", "fd4e3cc4658f693302bd4993e2df19026be8982a2abf124018e63a27df97df31"},
      {"glyphs-cnn", "51b469792530e7fdd9de7a76f000957bde232bcf40db99263f0f99f31648d944"},
      {"grammar-mlp", "524d0f67f76b84d64953eb083031c3cd62fd548fede00b2099e7159d7e7ab493"}};
  const ScratchFolder scratch;
  for (const ZooModel& model : zoo_models()) {
    const std::string name(model.name);
    CAPTURE(name);
    int lines = 0;
    const ZooReport one = train_zoo_model(name, scratch.path / "one", [&](std::string_view) { ++lines; },
                                          {.threads = 1, .schedule = 0.007, .test_samples = 100});
    const ZooReport two =
        train_zoo_model(name, scratch.path / "two", {}, {.threads = 2, .schedule = 0.007, .test_samples = 100});
    CHECK(lines == model.epochs);
    CHECK(one.weights_sha256 == recorded.at(name));
    for (const char* file : {"model.json", "weights.safetensors"})
      CHECK(sha256_file(scratch.path / "one" / name / file) == sha256_file(scratch.path / "two" / name / file));
    CHECK(sha256_file(scratch.path / "one" / name / "weights.safetensors") == one.weights_sha256);
    CHECK(two.accuracy == one.accuracy);
  }
}

TEST_CASE("the trainer's faults are the user's words") {
  const ScratchFolder scratch;
  CHECK_THROWS_WITH_AS(train_zoo_model("glyph-mlp", scratch.path), doctest::Contains("did you mean 'glyphs-mlp'"),
                       InputError);
  write_file_atomically(scratch.path / "file", "not a folder");
  CHECK_THROWS_AS(train_zoo_model("glyphs-mlp", scratch.path / "file"), InputError);
}

}  // namespace qb
