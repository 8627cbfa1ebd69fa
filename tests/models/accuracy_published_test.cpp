// Whole models on whole test sets, against results computed by others (data/README.md of the shared folder).
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kernels/base/files.h"
#include "kernels/base/random.h"
#include "models/executor.h"
#include "models/import.h"
#include "models/layer_edits.h"
#include "models/manifest.h"
#include "models/metrics.h"
#include "models/weight_matrix.h"
#include "tests/shared_data.h"

namespace qb {
namespace {

constexpr std::int64_t kBatch = 50;

struct Loaded {
  Model model;
  Dataset test;
};

Loaded load(const Json& entry) {
  const DataRoots roots{
      {std::filesystem::path(QB_SHARED_ROOT) / "data", std::filesystem::path(QB_SOURCE_ROOT) / "configs"}};
  const ModelManifest manifest = read_model_entry(entry, "test", roots);
  const FileSource source = [&](const FileRef& file) { return roots.find(file.path); };
  return {load_model(manifest, source), load_dataset(manifest, "test", 0, 1, source)};
}

/// Samples whose best class is the right one.
std::int64_t hits(const Loaded& loaded, std::int64_t limit = 0) {
  Executor executor(loaded.model, {.batch = kBatch});
  const std::int64_t count = limit > 0 ? limit : loaded.test.count();
  std::int64_t right = 0;
  for (std::int64_t begin = 0; begin < count; begin += kBatch) {
    const std::span<const float> scores = executor.run(batch_of(loaded.test, begin, kBatch)).as<float>();
    const auto classes = scores.size() / kBatch;
    for (std::int64_t i = 0; i < std::min(kBatch, count - begin); ++i)
      right += score_item(scores.subspan(std::size_t(i) * classes, classes),
                          loaded.test.targets[std::size_t(begin + i)], ScoreKind::logits)
                   .hit1;
  }
  return right;
}

Json mnist(const char* key, const char* path, double mean, double deviation) {
  return {{"name", "mnist"},
          {key, path},
          {"dataset", {{"idx", "mnist-idx"}, {"scale", 1.0 / 255.0}, {"mean", {mean}}, {"deviation", {deviation}}}}};
}

Json keywords(const char* path) {
  return {{"name", "kws"},
          {"onnx", path},
          {"dataset",
           {{"bytes", "kws-mlperf-tiny/kws01-mfcc-int8.bin"},
            {"labels", "kws-mlperf-tiny/y_labels.csv"},
            {"shape", {1, 49, 10}},
            {"zero", 83},
            {"scale", 0.5847029089927673}}}};
}

TEST_CASE("the CNTK models recognise 9890 of 10,000 digits") {
  if (shared_path("data/mnist-onnx-cntk").empty() || shared_path("data/mnist-idx").empty()) return;
  // One digit more or less: sums are added in another order than in the program that computed the published number.
  for (const char* path : {"mnist-onnx-cntk/opt-mnist.onnx", "mnist-onnx-cntk/mnist.onnx"}) {
    INFO(std::string(path));
    const std::int64_t right = hits(load(mnist("onnx", path, 0, 1)));
    CHECK(right >= 9889);
    CHECK(right <= 9891);
  }
}

TEST_CASE("the burn models recognise 9916 and 9917 of 10,000 digits") {
  if (shared_path("data/mnist-burn").empty() || shared_path("data/mnist-idx").empty()) return;
  const std::int64_t from_onnx = hits(load(mnist("onnx", "mnist-burn/mnist.onnx", 0.1307, 0.3081)));
  CHECK(from_onnx >= 9915);
  CHECK(from_onnx <= 9917);
  Json entry = mnist("safetensors", "mnist-burn/mnist.safetensors", 0.1307, 0.3081);
  entry["graph"] = "mnist-burn.json";
  const std::int64_t from_safetensors = hits(load(entry));
  CHECK(from_safetensors >= 9916);
  CHECK(from_safetensors <= 9918);
}

TEST_CASE("the keyword models recognise 901 and 902 of 1,000 words") {
  if (shared_path("data/kws-mlperf-tiny").empty()) return;
  const std::int64_t in_float = hits(load(keywords("kws-mlperf-tiny/kws_ref_model_float32.onnx")));
  CHECK(in_float >= 898);
  CHECK(in_float <= 904);
  const std::int64_t quantized = hits(load(keywords("kws-mlperf-tiny/kws_ref_model_int8_qdq.onnx")));
  CHECK(quantized >= 899);
  CHECK(quantized <= 905);
}

TEST_CASE("the iris model recognises 147 of 150 flowers") {
  if (shared_path("data/winml-iris-onnx").empty()) return;
  CHECK(hits(load({{"name", "iris"},
                   {"onnx", "winml-iris-onnx/Network.onnx"},
                   {"dataset", {{"csv", "winml-iris-onnx/iris.data"}}}})) == 147);
}

/// `count` images of 3 x 32 x 32 with smooth structure, values in [low, high].
Tensor smooth_images(std::int64_t count, double low, double high, std::uint64_t seed) {
  Random random(seed);
  Tensor images(DType::f32, {count, 3, 32, 32});
  const std::span<float> x = images.as<float>();
  for (std::int64_t plane = 0; plane < count * 3; ++plane) {
    double corner[4];
    for (double& value : corner) value = random.uniform(low, high);
    for (std::int64_t i = 0; i < 32 * 32; ++i) {
      const double u = double(i % 32) / 31, v = double(i / 32) / 31;
      const double smooth = (1 - v) * ((1 - u) * corner[0] + u * corner[1]) + v * ((1 - u) * corner[2] + u * corner[3]);
      x[std::size_t(plane * 1024 + i)] =
          float(std::clamp(smooth + random.uniform(-0.2, 0.2) * (high - low), low, high));
    }
  }
  return images;
}

Model read_shared_onnx(const std::filesystem::path& path) {
  return read_onnx(read_file(path), path.filename().string());
}

TEST_CASE("ResNet-20 gives the same logits from ONNX and from safetensors") {
  const std::filesystem::path folder = shared_path("data/cifar-resnet-akamaster");
  if (folder.empty()) return;
  constexpr std::int64_t kCount = 8;
  const Model from_onnx = read_shared_onnx(folder / "resnet20.onnx");
  Model from_safetensors;
  from_safetensors.name = "resnet20";
  const std::filesystem::path graph = std::filesystem::path(QB_SOURCE_ROOT) / "configs/models/resnet20.json";
  from_safetensors.graph = graph_from_json(read_file(graph), "resnet20.json");
  for (auto& [name, tensor] : read_safetensors(read_file(folder / "resnet20.safetensors"), "resnet20.safetensors"))
    from_safetensors.weights.emplace(name, std::move(tensor));

  const Tensor images = smooth_images(kCount, -2, 2, 1);
  Executor a(from_onnx, {.batch = kCount}), b(from_safetensors, {.batch = kCount});
  const std::span<const float> x = a.run(images).as<float>(), y = b.run(images).as<float>();
  REQUIRE(x.size() == std::size_t(kCount) * 10);
  REQUIRE(y.size() == x.size());
  CHECK(std::equal(x.begin(), x.end(), y.begin()));

  // Folding batch normalization changes each product by a few roundings: 20 layers of 2^-24 each, far below 100 dB.
  Model folded = from_onnx;
  CHECK(fold_batch_norm(folded) == 19);
  Executor c(folded, {.batch = kCount});
  CHECK(sqnr_db(x, c.run(images).as<float>()) > 100);
}

TEST_CASE("the quantized ResNet-8 agrees with its float model") {
  const std::filesystem::path folder = shared_path("data/ic-mlperf-tiny");
  if (folder.empty()) return;
  constexpr std::int64_t kCount = 100;
  const Model in_float = read_shared_onnx(folder / "pretrainedResnet_float32.onnx");
  const Model quantized = read_shared_onnx(folder / "pretrainedResnet_int8_qdq.onnx");
  const Tensor images = smooth_images(kCount, 0, 255, 2);
  Executor a(in_float, {.batch = kCount}), b(quantized, {.batch = kCount});
  const std::span<const float> x = a.run(images).as<float>(), y = b.run(images).as<float>();
  REQUIRE(x.size() == std::size_t(kCount) * 10);
  std::int64_t same = 0;
  for (std::size_t i = 0; i < std::size_t(kCount); ++i)
    same += score_item(x.subspan(10 * i, 10), 0, ScoreKind::probabilities).top1 ==
            score_item(y.subspan(10 * i, 10), 0, ScoreKind::probabilities).top1;
  MESSAGE("ResNet-8, int8 against float on ", kCount, " generated images: same class ", same, ", cosine ", cosine(x, y),
          ", SQNR ", sqnr_db(x, y), " dB");
  // 91 with the reference kernels. On the 200 published images int8 and float differ by one hit; generated images lie
  // nearer to the class borders, where a last bit of another kernel may turn a few.
  CHECK(same >= 85);
  CHECK(cosine(x, y) > 0.98);
}

}  // namespace
}  // namespace qb
