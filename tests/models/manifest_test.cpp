#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "kernels/base/digest.h"
#include "kernels/base/files.h"
#include "models/import.h"
#include "models/manifest.h"
#include "tests/harness/temporary_folder.h"
#include "tests/models/damaged_bytes.h"

namespace qb {
namespace {

constexpr const char* kGraph =
    R"({"opset": 21, "inputs": [{"name": "x", "dtype": "f32", "shape": [-1, 2]}], "outputs": ["y"],
  "nodes": [{"name": "dense", "op": "Gemm", "inputs": ["x", "w", "shift"], "outputs": ["y"], "attributes": {}},
            {"name": "shift", "op": "Constant", "inputs": [], "outputs": ["unused"], "attributes": {"value_floats": {"numbers": [1]}}}]})";

std::string weights_file(float last, std::int64_t inputs = 2) {
  std::vector<float> values(std::size_t(inputs * 3), 0.5f);
  values.back() = last;
  const float shift[] = {1, 2, 3};
  TensorMap tensors;
  tensors["w"] = tensor_of({inputs, 3}, values);
  tensors["shift"] = tensor_of({3}, shift);
  tensors["num_batches_tracked"] = Tensor(DType::i64, {});
  return write_safetensors(tensors);
}

/// A data folder with a small model and three samples of two numbers.
struct Place {
  TemporaryFolder folder;
  DataRoots roots{{folder.path()}};
  FileSource source = [this](const FileRef& file) { return roots.find(file.path); };

  Place() {
    write("w.safetensors", weights_file(0.5f));
    write("models/graph.json", kGraph);
    write("birds.csv", "0,1,wren\n2,3,finch\n4,5,wren\n");
  }
  void write(const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories((folder / name).parent_path());
    write_file_atomically(folder / name, bytes);
  }
  ModelManifest read(const std::string& entry) const {
    return read_model_entry(parse_json(entry, "study", Blame::user), "models[0]", roots);
  }
  std::string input_fault(const std::string& entry) const {
    try {
      read(entry);
    } catch (const InputError& fault) {
      return fault.what();
    }
    return {};
  }
};

constexpr const char* kEntry =
    R"({"safetensors": "w.safetensors", "graph": "graph.json", "dataset": {"csv": "birds.csv", "scale": 2, "mean": [1, 3], "deviation": 4}})";

bool says(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST_CASE("an entry becomes a manifest that loads, and survives JSON") {
  Place place;
  const ModelManifest manifest = place.read(kEntry);
  CHECK(manifest.name == "w");
  REQUIRE(manifest.files.size() == 2);
  CHECK(manifest.files[0].sha256 == sha256_file(place.folder / "w.safetensors"));
  CHECK(manifest.files[1].path == "models/graph.json");

  const Model model = load_model(manifest, place.source);
  CHECK(model.name == "w");
  CHECK(model.digest == model_digest(manifest));
  CHECK(model.weights.size() == 2);  // the counter that nobody reads is left out
  CHECK(model.graph.nodes.size() == 1);

  const Dataset data = load_dataset(manifest, "test", 2, 1, place.source);
  CHECK(data.targets == std::vector<std::int32_t>{1, 0});
  CHECK(data.classes == 2);
  REQUIRE(data.inputs.shape == Shape{2, 2});
  CHECK(data.inputs.as<float>()[0] == (0 * 2 - 1) / 4.0f);
  CHECK(data.inputs.as<float>()[3] == (3 * 2 - 3) / 4.0f);

  const ModelManifest again = manifest_from_json(to_json(manifest), "peer", Blame::peer);
  CHECK(to_json(again) == to_json(manifest));
  CHECK(model_digest(again) == model_digest(manifest));
  CHECK(data_digest(again) == data_digest(manifest));
}

constexpr const char* kCodesGraph =
    R"({"opset": 21, "inputs": [{"name": "x", "dtype": "f32", "shape": [-1, 2]}], "outputs": ["y"],
  "nodes": [{"name": "in", "op": "QuantizeLinear", "inputs": ["x", "scale", "zero"], "outputs": ["a"], "attributes": {}},
            {"name": "dense", "op": "QLinearMatMul", "inputs": ["a", "scale", "zero", "w", "scale", "zero", "scale", "zero"],
             "outputs": ["b"], "attributes": {}},
            {"name": "out", "op": "DequantizeLinear", "inputs": ["b", "scale", "zero"], "outputs": ["y"], "attributes": {}}]})";

TEST_CASE("how codes are rounded is said in the entry, recorded, and part of the model's digest") {
  Place place;
  TensorMap tensors;
  tensors["w"] = Tensor(DType::u8, {2, 3});
  tensors["zero"] = Tensor(DType::u8, {});
  tensors["scale"] = tensor_of({}, std::vector<float>{0.5f});
  place.write("codes.safetensors", write_safetensors(tensors));
  place.write("models/codes.json", kCodesGraph);
  const auto entry = [](const std::string& more) {
    return R"({"safetensors": "codes.safetensors", "graph": "codes.json", "dataset": {"csv": "birds.csv"})" + more +
           "}";
  };
  const ModelManifest plain = place.read(entry("")), other = place.read(entry(R"(, "rounding": "onnxruntime")"));
  CHECK(plain.rounding == "reference");
  CHECK(to_json(other).at("rounding") == "onnxruntime");
  CHECK(manifest_from_json(to_json(other), "peer", Blame::peer).rounding == "onnxruntime");
  CHECK(model_digest(plain) != model_digest(other));
  CHECK(load_model(other, place.source).graph.nodes[1].text_or("rounding", "") == "onnxruntime");
  CHECK(load_model(plain, place.source).graph.nodes[1].attributes.empty());

  CHECK(says(place.input_fault(entry(R"(, "rounding": "fixed-duble")")), "did you mean 'fixed-double'"));
  std::string dense(kEntry);
  dense.insert(dense.size() - 1, R"(, "rounding": "fixed-single")");
  CHECK(says(place.input_fault(dense), "no QLinearConv or QLinearMatMul"));
  Json forged = to_json(plain);
  forged["rounding"] = "up";
  CHECK_THROWS_AS(manifest_from_json(forged, "peer", Blame::peer), DataError);
}

TEST_CASE("digests change with whatever defines the bytes, and with nothing else") {
  Place place;
  const ModelManifest manifest = place.read(kEntry);
  ModelManifest other = manifest;
  other.name = "another";
  other.files[0].path = "elsewhere";
  CHECK(model_digest(other) == model_digest(manifest));
  other.files[0].sha256[0] ^= 1;
  CHECK(model_digest(other) != model_digest(manifest));
  const ModelManifest unscaled =
      place.read(R"({"safetensors": "w.safetensors", "graph": "graph.json", "dataset": {"csv": "birds.csv"}})");
  CHECK(data_digest(unscaled) != data_digest(manifest));
  CHECK(model_digest(unscaled) == model_digest(manifest));
}

TEST_CASE("calibration samples are held out of the test split, or there are none") {
  Place place;
  std::string lines;
  for (int i = 0; i < 20; ++i) lines += std::to_string(i) + ",0," + std::to_string(i % 2) + "\n";
  place.write("birds.csv", lines);
  const ModelManifest manifest = place.read(
      R"({"safetensors": "w.safetensors", "graph": "graph.json", "dataset": {"csv": "birds.csv", "calibration": 5}})");
  const Dataset test = load_dataset(manifest, "test", 0, 1, place.source);
  const Dataset calibration = load_dataset(manifest, "calibration", 0, 1, place.source);
  CHECK(test.count() == 15);
  CHECK(calibration.count() == 5);
  CHECK(says(calibration.name, "held out"));
  CHECK(test.digest != calibration.digest);
  std::set<float> seen;
  for (const Dataset* part : {&test, &calibration})
    for (std::int64_t i = 0; i < part->count(); ++i) seen.insert(part->inputs.as<float>()[std::size_t(2 * i)]);
  CHECK(seen.size() == 20);
  CHECK(load_dataset(manifest, "test", 0, 2, place.source).digest == test.digest);
  CHECK_THROWS_AS(load_dataset(manifest, "train", 0, 1, place.source), DataError);
  CHECK_THROWS_AS(load_dataset(manifest, "tests", 0, 1, place.source), InputError);

  const ModelManifest open =
      place.read(R"({"safetensors": "w.safetensors", "graph": "graph.json", "dataset": {"csv": "birds.csv"}})");
  const Dataset none = load_dataset(open, "calibration", 0, 1, place.source);
  CHECK(none.count() == 0);
  CHECK(says(none.name, "no training data"));
  const std::string greedy =
      R"({"safetensors": "w.safetensors", "graph": "graph.json", "dataset": {"csv": "birds.csv", "calibration": 20}})";
  CHECK(says(fault_of([&] { place.read(greedy); }), "cannot hold 20 of 20"));
}

TEST_CASE("calibration comes from training data where there is some") {
  Place place;
  const std::string pixels =
      "00000002"
      "00000001"
      "00000002";
  place.write("digits/t10k-images-idx3-ubyte", from_hex("00000803" + pixels + "01020304"));
  place.write("digits/t10k-labels-idx1-ubyte", from_hex("00000801"
                                                        "00000002"
                                                        "0001"));
  place.write("digits/train-images-idx3-ubyte", from_hex("00000803" + pixels + "0a0b0c0d"));
  place.write("digits/train-labels-idx1-ubyte", from_hex("00000801"
                                                         "00000002"
                                                         "0203"));
  const auto entry = [](const std::string& rest) {
    return R"({"safetensors": "w.safetensors", "graph": "graph.json", "dataset": {"idx": "digits", "shape": [2])" +
           rest + "}}";
  };
  const ModelManifest manifest = place.read(entry(""));
  CHECK(manifest.dataset.files.size() == 4);
  CHECK(load_dataset(manifest, "test", 0, 1, place.source).inputs.as<float>()[0] == 1.0f);
  const Dataset calibration = load_dataset(manifest, "calibration", 1, 1, place.source);
  CHECK(calibration.count() == 1);
  CHECK(calibration.targets[0] >= 2);
  CHECK(says(calibration.name, "training data"));
  const ModelManifest train = place.read(entry(R"(, "split": "train")"));
  CHECK(load_dataset(train, "test", 0, 1, place.source).targets == std::vector<std::int32_t>{2, 3});
  CHECK(says(fault_of([&] { place.read(entry(R"(, "classes": 1)")); }), "in a set of 1 classes"));
}

TEST_CASE("a wrong entry is refused with the nearest right word") {
  Place place;
  const auto entry = [](const std::string& model, const std::string& data) {
    return R"({"safetensors": "w.safetensors", "graph": "graph.json")" + model + R"(, "dataset": {"csv": "birds.csv")" +
           data + "}}";
  };
  CHECK(says(place.input_fault(entry(R"(, "taks": "classification")", "")), "'taks'; did you mean 'task'?"));
  CHECK(says(place.input_fault(entry(R"(, "task": "clasification")", "")), "did you mean 'classification'?"));
  CHECK(says(place.input_fault(entry("", R"(, "scal": 1)")), "'scal'; did you mean 'scale'?"));
  CHECK(says(place.input_fault(entry("", R"(, "split": "tset")")), "did you mean 'test'?"));
  CHECK(says(place.input_fault(entry("", R"(, "scale": 0)")), "is 0"));
  CHECK(says(place.input_fault(entry("", R"(, "deviation": [1, 0])")), "holds 0"));
  CHECK(says(place.input_fault(entry("", R"(, "npy": "x.npy")")), "names 2 kinds"));
  CHECK(says(place.input_fault(R"({"onxx": "m.onnx"})"), "did you mean 'onnx'?"));
  CHECK(says(place.input_fault(R"({"onnx": "m.onnx", "safetensors": "w.safetensors", "dataset": {}})"), "names 2 of"));
  CHECK(says(place.input_fault(R"({"onnx": "w.safetensor", "dataset": {"csv": "birds.csv"}})"),
             "did you mean 'w.safetensors'?"));
  CHECK(says(place.input_fault(R"({"onnx": "../m.onnx", "dataset": {"csv": "birds.csv"}})"), "not a path below"));
  CHECK(says(place.input_fault(R"({"onnx": "/etc/passwd", "dataset": {"csv": "birds.csv"}})"), "not a path below"));
  CHECK(says(place.input_fault(R"("glyphs-cnn")"), "not a model of the zoo"));
  CHECK(says(fault_of([&] { place.read(entry("", R"(, "mean": [1, 2, 3])")); }), "3 values; accepted are 1 and 2"));
  place.write("birds.csv", "0,1,2,wren\n");
  CHECK(says(place.input_fault(entry("", "")), "shape [1, 2], one sample of 'birds' has [1, 3]"));
}

TEST_CASE("weights that are not finite are named") {
  Place place;
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    place.write("w.safetensors", weights_file(bad));
    const std::string fault = fault_of([&] { place.read(kEntry); });
    CHECK(says(fault, "w.safetensors: weight 'w' of shape [2, 3] holds"));
    CHECK(says(fault, "at index 5"));
  }
  place.write("w.safetensors", write_safetensors({}));
  CHECK(says(fault_of([&] { place.read(kEntry); }), "w.safetensors: "));
}

TEST_CASE("a zoo model is a folder with a graph, a dataset and weights of the stated digest") {
  Place place;
  const std::string weights = weights_file(0.25f);
  place.write("birds.csv", "0,1,wren\n2,3,finch\n");
  place.write("zoo/small/weights.safetensors", weights);
  const auto description = [](const std::string& sha256) {
    return R"({"graph": )" + std::string(kGraph) +
           R"(, "task": "classification", "dataset": {"csv": "birds.csv"}, "sha256": ")" + sha256 + "\"}";
  };
  place.write("zoo/small/model.json", description(sha256_hex(weights)));
  CHECK(zoo_model_names(place.roots) == std::vector<std::string>{"small"});
  const ModelManifest manifest = place.read(R"("small")");
  CHECK(load_model(manifest, place.source).graph.nodes.size() == 1);
  CHECK(says(place.input_fault(R"("smal")"), "did you mean 'small'?"));
  place.write("zoo/small/model.json", description(sha256_hex("other")));
  CHECK(says(fault_of([&] { place.read(R"("small")"); }), "digests differ"));
}

TEST_CASE("a peer's manifest is not trusted") {
  Place place;
  const Json good = to_json(place.read(kEntry));
  const auto fault = [&](const std::string& pointer, const Json& value) {
    Json changed = good;
    changed[Json::json_pointer(pointer)] = value;
    return fault_of([&] { manifest_from_json(changed, "peer", Blame::peer); });
  };
  CHECK(says(fault("/files/0/path", "../secret"), "relative path"));
  CHECK(says(fault("/files/0/path", "/etc/passwd"), "relative path"));
  CHECK(says(fault("/files/0/sha256", "abc"), "64"));
  CHECK(says(fault("/files/0/bytes", -1), "accepted is"));
  CHECK(says(fault("/format", "onx"), "did you mean 'onnx'?"));
  CHECK(says(fault("/format", "onnx"), "a model in format onnx has 1"));
  CHECK(says(fault("/dataset/kind", "cvs"), "did you mean 'csv'?"));
  CHECK(says(fault("/dataset/kind", "idx"), "2 to 4"));
  CHECK(says(fault("/dataset/options/scale", "x"), "must be a number"));
  CHECK(says(fault("/dataset/options/more", 1), "unknown key 'more'"));
  CHECK(says(fault("/extra", 1), "unknown key 'extra'"));
}

}  // namespace
}  // namespace qb
