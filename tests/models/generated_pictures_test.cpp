// Generated pictures: the same bits everywhere, in the shape of any model's input, answered by the float model.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/base/digest.h"
#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "models/data/generated/generated.h"
#include "models/executor.h"
#include "models/import.h"
#include "models/manifest.h"
#include "tests/harness/temporary_folder.h"

namespace qb {
namespace {

std::string digest_of(const Tensor& tensor) { return Sha256().update(tensor.bytes.span()).hex().substr(0, 16); }

/// What `ask` is told, of whatever kind; empty when it is not refused.
template <class F>
std::string fault_of(F&& ask) {
  try {
    ask();
  } catch (const std::runtime_error& fault) {
    return fault.what();
  }
  return {};
}

TEST_CASE("a seed gives the same pictures on every machine, whatever their number") {
  const Tensor few = pictures({}, {3, 32, 32}, "test", 3, 1), many = pictures({}, {3, 32, 32}, "test", 5, 1);
  CHECK(std::ranges::equal(few.as<std::uint8_t>(), many.as<std::uint8_t>().first(few.as<std::uint8_t>().size())));
  CHECK(digest_of(few) == "90f2e271c909939b");
  std::set<std::string> all;
  for (const char* split : {"train", "calibration", "test"})
    for (const std::uint64_t seed : {1, 2}) all.insert(digest_of(pictures({}, {3, 32, 32}, split, 3, seed)));
  CHECK(all.size() == 6);
  CHECK_THROWS_AS(pictures({}, {3, 32, 32}, "tests", 3, 1), InputError);
}

TEST_CASE("pictures use the range of bytes, and neighbours are alike") {
  for (const Shape& shape : {Shape{3, 32, 32}, Shape{1, 49, 10}, Shape{12, 40}, Shape{100}}) {
    const Tensor tensor = pictures({}, shape, "test", 20, 3);
    CHECK(tensor.shape.size() == shape.size() + 1);
    const auto values = tensor.as<std::uint8_t>();
    const auto [low, high] = std::ranges::minmax(values);
    CHECK(int(low) < 20);
    CHECK(int(high) > 235);
    double step = 0, spread = 0;
    for (std::size_t i = 1; i < values.size(); ++i) {
      step += std::abs(int(values[i]) - int(values[i - 1]));
      spread += std::abs(int(values[i]) - 128);
    }
    CHECK(step < 0.5 * spread);
  }
  const auto flat = pictures({.blobs = 0, .contrast = 0, .noise = 1}, {8, 8}, "test", 4, 1);
  for (const std::uint8_t value : flat.as<std::uint8_t>()) CHECK(std::abs(int(value) - 128) <= 6);
}

TEST_CASE("options are checked, and survive text") {
  const PicturesOptions options{.blobs = 3, .contrast = 12.5, .noise = 0};
  CHECK(pictures_options(Json::parse(to_text(options)), "options", Blame::user) == options);
  const auto fault = [](const char* text) {
    return fault_of([&] { pictures_options(Json::parse(text), "options", Blame::user); });
  };
  CHECK(fault(R"({"blob": 3})").find("blobs") != std::string::npos);
  CHECK(fault(R"({"blobs": 65})").find("blobs") != std::string::npos);
  CHECK(fault(R"({"noise": -1})").find("noise") != std::string::npos);
  CHECK(fault(R"({"blobs": 0, "noise": 0})").find("same") != std::string::npos);
}

/// A network of one dense layer from 2 x 3 x 4 values to 5 scores.
struct Place {
  TemporaryFolder folder;
  DataRoots roots{{folder.path()}};
  FileSource source = [this](const FileRef& file) { return roots.find(file.path); };

  Place() {
    std::vector<float> weights(24 * 5);
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = float(i * 37 % 23) / 23 - 0.5f;
    TensorMap tensors;
    tensors["w"] = tensor_of({24, 5}, weights);
    write_file_atomically(folder / "w.safetensors", write_safetensors(tensors));
    write_file_atomically(
        folder / "g.json",
        R"({"opset": 21, "inputs": [{"name": "x", "dtype": "f32", "shape": [-1, 2, 3, 4]}], "outputs": ["y"], "nodes": [
          {"name": "flat", "op": "Flatten", "inputs": ["x"], "outputs": ["f"], "attributes": {}},
          {"name": "dense", "op": "Gemm", "inputs": ["f", "w"], "outputs": ["y"], "attributes": {}}]})");
  }
  ModelManifest read(const std::string& dataset, const std::string& more = "") const {
    const std::string text =
        R"({"safetensors": "w.safetensors", "graph": "g.json")" + more + R"(, "dataset": )" + dataset + "}";
    return read_model_entry(parse_json(text, "study", Blame::user), "models[0]", roots);
  }
};

TEST_CASE("a study can ask for pictures for any model, whose answers are the model's own") {
  const Place place;
  const ModelManifest manifest = place.read(R"({"generated": {"noise": 10}, "scale": 0.5, "mean": [1, 2]})");
  CHECK(manifest.dataset.kind == "generated");
  CHECK(manifest.dataset.name.find("answers of the float model") != std::string::npos);
  const ModelManifest again = manifest_from_json(to_json(manifest), "peer", Blame::peer);
  CHECK(to_json(again) == to_json(manifest));

  const Dataset data = load_dataset(again, "test", 70, 5, place.source);
  CHECK(data.count() == 70);
  CHECK(data.classes == 5);
  REQUIRE(data.inputs.shape == Shape{70, 2, 3, 4});
  const Tensor raw = pictures({.noise = 10}, {2, 3, 4}, "test", 70, 5);
  for (std::int64_t i = 0; i < raw.size(); ++i)
    CHECK(data.inputs.as<float>()[std::size_t(i)] ==
          float(raw.as<std::uint8_t>()[std::size_t(i)]) * 0.5f - (i % 24 < 12 ? 1.0f : 2.0f));
  const Model model = load_model(manifest, place.source);
  Executor executor(model, {.batch = 70});
  const std::span<const float> scores = executor.run(data.inputs).as<float>();
  for (std::size_t i = 0; i < 70; ++i)
    CHECK(std::ranges::max_element(scores.subspan(5 * i, 5)) - scores.begin() == std::int64_t(5 * i) + data.targets[i]);
  CHECK(std::set<std::int32_t>(data.targets.begin(), data.targets.end()).size() > 1);

  CHECK(load_dataset(manifest, "calibration", 8, 5, place.source).count() == 8);
  CHECK(load_dataset(manifest, "test", 70, 6, place.source).digest != data.digest);
  const ModelManifest other = place.read(R"({"generated": {}})");
  CHECK(data_digest(other) != data_digest(manifest));
}

TEST_CASE("what generated samples cannot be is refused") {
  const Place place;
  const auto fault = [&](const std::string& dataset, const std::string& more = "") {
    return fault_of([&] { place.read(dataset, more); });
  };
  CHECK(fault(R"({"generatd": {}})").find("'generated'") != std::string::npos);
  CHECK(fault(R"({"generated": {"blob": 1}})").find("did you mean 'blobs'") != std::string::npos);
  CHECK(fault(R"({"generated": {}, "labels": "x.csv"})").find("labels") != std::string::npos);
  CHECK(fault(R"({"generated": {}, "mean": [1, 2, 3]})").find("accepted are 1 and 2") != std::string::npos);
  CHECK(fault(R"({"generated": {}, "glyphs": {}})").find("exactly one") != std::string::npos);
  CHECK(fault(R"({"generated": 3})").find("generated") != std::string::npos);
  CHECK(fault(R"({"generated": {}})", R"(, "task": "language")").find("grammar") != std::string::npos);
}

}  // namespace
}  // namespace qb
