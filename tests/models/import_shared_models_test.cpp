// Real files, by facts that other programs state: shapes and figures printed by the onnx and numpy packages, digests
// from the files' own SOURCE.txt.
#include <openssl/evp.h>

#include <nlohmann/json.hpp>
#include <string>

#include "kernels/base/files.h"
#include "models/import.h"
#include "models/manifest.h"
#include "tests/models/damaged_bytes.h"
#include "tests/shared_data.h"

namespace qb {
namespace {

const DataRoots kRoots{
    {std::filesystem::path(QB_SHARED_ROOT) / "data", std::filesystem::path(QB_SOURCE_ROOT) / "configs"}};
const FileSource kSource = [](const FileRef& file) { return kRoots.find(file.path); };

ModelManifest read_entry(const std::string& text) {
  return read_model_entry(parse_json(text, "entry", Blame::user), "models[0]", kRoots);
}

std::string md5(const std::string& bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  REQUIRE(EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_md5(), nullptr) == 1);
  std::string text;
  for (unsigned i = 0; i < length; ++i)
    for (const int nibble : {digest[i] >> 4, digest[i] & 15}) text += "0123456789abcdef"[nibble];
  return text;
}

TEST_CASE("all ONNX models are read") {
  struct Expected {
    std::string_view path;
    int opset;
    std::size_t nodes;
    Shape input;
  };
  // Nodes after folding: constants' Reshape and DequantizeLinear are gone.
  for (const Expected& expected : {Expected{"mnist-onnx-cntk/mnist.onnx", 7, 11, {-1, 1, 28, 28}},
                                   {"mnist-onnx-cntk/opt-mnist.onnx", 8, 8, {-1, 1, 28, 28}},
                                   {"mnist-burn/mnist.onnx", 16, 13, {-1, 1, 28, 28}},
                                   {"kws-mlperf-tiny/kws_ref_model_float32.onnx", 13, 22, {-1, 1, 49, 10}},
                                   {"kws-mlperf-tiny/kws_ref_model_int8_qdq.onnx", 13, 46, {-1, 1, 49, 10}},
                                   {"ic-mlperf-tiny/pretrainedResnet_float32.onnx", 13, 23, {-1, 3, 32, 32}},
                                   {"ic-mlperf-tiny/pretrainedResnet_int8_qdq.onnx", 13, 53, {-1, 3, 32, 32}},
                                   {"cifar-resnet-akamaster/resnet20.onnx", 13, 73, {-1, 3, 32, 32}},
                                   {"winml-iris-onnx/Network.onnx", 11, 5, {-1, 4}}}) {
    const auto path = shared_path("data/" + std::string(expected.path));
    if (path.empty()) continue;
    INFO(expected.path);
    const Model model = read_onnx(read_file(path), expected.path);
    CHECK(model.graph.opset == expected.opset);
    CHECK(model.graph.nodes.size() == expected.nodes);
    REQUIRE(model.graph.inputs.size() == 1);
    CHECK(model.graph.inputs[0].shape == expected.input);
    check_graph(model);
  }
}

TEST_CASE("a quantized weight is folded to the floats that numpy computes") {
  const auto path = shared_path("data/kws-mlperf-tiny/kws_ref_model_int8_qdq.onnx");
  if (path.empty()) return;
  const Model model = read_onnx(read_file(path), "kws");
  const Tensor& weight = std::get<Tensor>(model.weights.at("conv_2d_0_wdq"));
  REQUIRE(weight.shape == Shape{64, 1, 10, 4});
  const auto values = weight.as<float>();
  CHECK(values.front() == -0x1.05d9f4p-7f);
  CHECK(values.back() == 0x1.00a2fp-6f);
  double sum = 0;
  for (const float value : values) sum += value;
  CHECK(sum == doctest::Approx(0x1.c8459df44p+0).epsilon(1e-12));  // 2560 float64 additions: below 2560 * 2^-53
}

TEST_CASE("ResNet-20 has the same weights in both formats, and the graph file computes in the same order") {
  const auto onnx = shared_path("data/cifar-resnet-akamaster/resnet20.onnx");
  if (onnx.empty()) return;
  const Model wanted = read_onnx(read_file(onnx), "resnet20.onnx");
  const TensorMap tensors = read_safetensors(read_file(shared_path("data/cifar-resnet-akamaster/resnet20.safetensors")),
                                             "resnet20.safetensors");
  const Graph graph = graph_from_json(read_file(std::filesystem::path(QB_SOURCE_ROOT) / "configs/models/resnet20.json"),
                                      "resnet20.json");
  std::size_t compared = 0;
  for (const auto& [name, tensor] : tensors) {
    const auto found = wanted.weights.find(name);
    REQUIRE_MESSAGE(found != wanted.weights.end(), name);
    const Tensor& other = std::get<Tensor>(found->second);
    CHECK(other.shape == tensor.shape);
    CHECK(std::ranges::equal(other.bytes.span(), tensor.bytes.span()));
    ++compared;
  }
  CHECK(compared == 97);
  std::vector<std::string> ops, wanted_ops;
  for (const Node& node : graph.nodes)
    if (node.op != "Constant") ops.push_back(node.op);
  for (const Node& node : wanted.graph.nodes) wanted_ops.push_back(node.op);
  CHECK(ops == wanted_ops);
}

TEST_CASE("MNIST has the published raw bytes and labels") {
  if (shared_path("data/mnist-idx").empty()) return;
  const auto raw = [](const char* name) {
    return gunzip(read_file(shared_path(std::string("data/mnist-idx/") + name)), name);
  };
  CHECK(md5(raw("t10k-images-idx3-ubyte.gz")) == "2646ac647ad5339dbf082846283269ea");
  CHECK(md5(raw("t10k-labels-idx1-ubyte.gz")) == "27ae3e4e09519cfbb04c329615203637");
  CHECK(md5(raw("train-labels-idx1-ubyte.gz")) == "a25bea736e30d166cdddb491f175f624");

  const ModelManifest manifest = read_entry(
      R"({"name": "burn", "safetensors": "mnist-burn/mnist.safetensors", "graph": "mnist-burn.json",
          "dataset": {"idx": "mnist-idx", "scale": 0.00392156862745098, "mean": 0.1307, "deviation": 0.3081}})");
  const Dataset test = load_dataset(manifest, "test", 0, 1, kSource);
  CHECK(test.inputs.shape == Shape{10000, 1, 28, 28});
  CHECK(std::vector<std::int32_t>(test.targets.begin(), test.targets.begin() + 5) ==
        std::vector<std::int32_t>{7, 2, 1, 0, 4});
  CHECK(test.inputs.as<float>()[0] == float(-0.1307 / 0.3081));
  const Dataset calibration = load_dataset(manifest, "calibration", 256, 1, kSource);
  CHECK(calibration.inputs.shape == Shape{256, 1, 28, 28});
  CHECK(load_dataset(manifest, "calibration", 256, 2, kSource).digest != calibration.digest);
}

TEST_CASE("keyword samples and iris are read as their models expect") {
  if (shared_path("data/kws-mlperf-tiny").empty() || shared_path("data/winml-iris-onnx").empty()) return;
  const ModelManifest kws = read_entry(
      R"({"onnx": "kws-mlperf-tiny/kws_ref_model_int8_qdq.onnx",
          "dataset": {"bytes": "kws-mlperf-tiny/kws01-mfcc-int8.bin", "labels": "kws-mlperf-tiny/y_labels.csv",
                      "shape": [1, 49, 10], "scale": 0.5847029089927673, "zero": 83}})");
  const Dataset words = load_dataset(kws, "test", 0, 1, kSource);
  CHECK(words.inputs.shape == Shape{1000, 1, 49, 10});
  CHECK(words.classes == 12);
  CHECK(std::vector<std::int32_t>(words.targets.begin(), words.targets.begin() + 3) ==
        std::vector<std::int32_t>{7, 2, 6});
  CHECK(words.inputs.as<float>()[0] == -0x1.7ae332p+5f);
  CHECK(words.inputs.as<float>()[489] == -0x1.2b5e2ep-1f);

  const Dataset flowers = load_dataset(
      read_entry(R"({"onnx": "winml-iris-onnx/Network.onnx", "dataset": {"csv": "winml-iris-onnx/iris.data"}})"),
      "test", 0, 1, kSource);
  CHECK(flowers.inputs.shape == Shape{150, 4});
  CHECK(flowers.inputs.as<float>()[0] == 5.1f);
  CHECK(flowers.targets[0] == 0);
  CHECK(flowers.targets[50] == 1);
  CHECK(flowers.targets[149] == 2);
}

TEST_CASE("the shipped zoo loads") {
  const std::vector<std::string> names = zoo_model_names(kRoots);
  CHECK(names.size() >= 3);
  for (const std::string& name : names) {
    INFO(name);
    const ModelManifest manifest = read_model_entry(Json(name), "models[0]", kRoots);
    CHECK(load_dataset(manifest, "test", 3, 1, kSource).count() == 3);
    CHECK(load_dataset(manifest, "calibration", 3, 1, kSource).count() == 3);
  }
}

}  // namespace
}  // namespace qb
