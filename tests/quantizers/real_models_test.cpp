// Trained models, real data: accuracy of quantized weights against figures computed independently
// (../shared/data/README.md).
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "models/executor.h"
#include "models/manifest.h"
#include "models/metrics.h"
#include "quantizers/layer_inputs.h"
#include "quantizers/quantizer.h"
#include "tests/shared_data.h"

namespace qb {
namespace {

constexpr std::string_view kCntk = R"({"name": "mnist-cntk", "onnx": "mnist-onnx-cntk/opt-mnist.onnx",
  "dataset": {"idx": "mnist-idx", "scale": 0.00392156862745098}})";
constexpr std::string_view kBurn = R"({"name": "mnist-burn", "onnx": "mnist-burn/mnist.onnx",
  "dataset": {"idx": "mnist-idx", "scale": 0.00392156862745098, "mean": 0.1307, "deviation": 0.3081}})";
constexpr std::string_view kKws = R"({"name": "kws", "onnx": "kws-mlperf-tiny/kws_ref_model_float32.onnx",
  "dataset": {"bytes": "kws-mlperf-tiny/kws01-mfcc-int8.bin", "labels": "kws-mlperf-tiny/y_labels.csv",
              "scale": 0.5847029, "zero": 83, "shape": [1, 49, 10], "classes": 12}})";

struct Trained {
  Model model;
  Dataset test, calibration;
};

Trained load(std::string_view entry, std::int64_t calibration) {
  const DataRoots roots{{shared_path("data")}};
  const ModelManifest manifest = read_model_entry(Json::parse(entry), "test", roots);
  const FileSource source = [&](const FileRef& file) { return roots.find(file.path); };
  Trained task{load_model(manifest, source), load_dataset(manifest, "test", 0, 1, source), {}};
  if (calibration > 0) task.calibration = load_dataset(manifest, "calibration", calibration, 1, source);
  return task;
}

int hits(const Model& model, const Dataset& data) {
  ExecutorOptions options;
  options.batch = 100;
  Executor executor(model, options);
  int count = 0;
  for (std::int64_t begin = 0; begin < data.count(); begin += options.batch) {
    const std::span<const float> scores = executor.run(batch_of(data, begin, options.batch)).as<float>();
    const std::size_t classes = scores.size() / std::size_t(options.batch);
    for (std::int64_t i = 0; i < std::min(options.batch, data.count() - begin); ++i) {
      const auto row = scores.subspan(std::size_t(i) * classes, classes);
      count += std::max_element(row.begin(), row.end()) - row.begin() == data.targets[std::size_t(begin + i)];
    }
  }
  return count;
}

int hits(const Trained& task, const std::string& spec) {
  return hits(quantize_model(task.model, parse_quant_spec(spec), task.calibration.inputs, 1).model, task.test);
}

double weight_error(const Trained& task, const std::string& spec) {
  double sum = 0;
  for (const LayerReport& layer :
       quantize_model(task.model, parse_quant_spec(spec), task.calibration.inputs, 1).layers) {
    double power = 0;
    for (const float value : matrix_values(task.model, layer.where)) power += double(value) * double(value);
    sum += power * std::pow(10.0, -layer.weight_sqnr_db / 10);
  }
  return sum;
}

struct Row {
  const char* spec;
  int hits, tolerance;
};

void check_rows(const Trained& task, std::initializer_list<Row> rows) {
  for (const Row& row : rows) {
    const int found = hits(task, row.spec);
    MESSAGE(task.model.name, " ", std::string(row.spec), ": ", found, ", independently ", row.hits);
    CHECK_MESSAGE(std::abs(found - row.hits) <= row.tolerance, std::string(row.spec));
  }
}

}  // namespace

TEST_CASE("rounded weights of the small MNIST network lose what they should") {
  if (shared_path("data").empty()) return;
  // The same codes everywhere; only the order of float sums differs, which can flip a sample whose two best scores are
  // equal to seven digits: 1 of 10,000 for float, 2 where the loss is larger and near-ties are more frequent.
  check_rows(load(kCntk, 0),
             {{"float", 9890, 1}, {"rtn:w8", 9891, 2}, {"rtn:w4", 9879, 2}, {"rtn:w3", 9806, 2}, {"rtn:w2", 2421, 2}});
}

TEST_CASE("rounded weights of the larger MNIST network lose what they should") {
  if (shared_path("data").empty()) return;
  check_rows(load(kBurn, 0), {{"float", 9916, 1}, {"rtn:w8", 9916, 2}, {"rtn:w4", 9906, 2}, {"rtn:w2", 6863, 2}});
}

TEST_CASE("rounded weights of the keyword spotter lose what they should, depthwise layers included") {
  if (shared_path("data").empty()) return;
  check_rows(load(kKws, 0),
             {{"float", 901, 3}, {"rtn:w8", 907, 3}, {"rtn:w4", 821, 3}, {"rtn:w3", 578, 3}, {"rtn:w2", 89, 3}});
}

TEST_CASE("int8 activations cost next to nothing, however their range is chosen") {
  if (shared_path("data").empty()) return;
  const Trained task = load(kCntk, 256);
  const int plain = hits(task, "float");
  for (const std::string options :
       {"", "@mode=static", "@mode=static,asym=1", "@mode=static,act=average", "@mode=static,act=percentile",
        "@mode=static,act=mse", "@mode=static,act=mse,asym=1", "@mode=static,act=kl", "@mode=static,act=kl,asym=1"}) {
    const int found = hits(task, "rtn:w8a8" + options);
    MESSAGE("mnist-cntk rtn:w8a8", options, ": ", found, ", float ", plain);
    // 0.2 percent: Krishnamoorthi 2018 (arXiv:1806.08342), section 3, finds 8 bits within a percent on far harder
    // tasks.
    CHECK(std::abs(found - plain) <= 20);
  }
}

TEST_CASE("layers that exchange codes in fixed point cost next to nothing either") {
  if (shared_path("data").empty()) return;
  for (const std::string_view entry : {kCntk, kBurn}) {
    const Trained task = load(entry, 256);
    const int plain = hits(task, "float");
    for (const std::string requant : {"double", "single", "float64"}) {
      const std::string spec = "rtn:w8a8@mode=static,asym=1,requant=" + requant;
      const QuantizedModel out = quantize_model(task.model, parse_quant_spec(spec), task.calibration.inputs, 1);
      const int found = hits(out.model, task.test);
      MESSAGE(task.model.name, " ", spec, ": ", found, ", float ", plain);
      CHECK(std::abs(found - plain) <= 20);  // as above
      CHECK(std::ranges::any_of(out.layers, [](const LayerReport& layer) {
        return layer.prepared.find("results in fixed point") != std::string::npos;
      }));
      // Scores leave the network as they are.
      CHECK(out.layers.back().prepared.starts_with("float results: "));
    }
  }
}

TEST_CASE("learning from samples shrinks the error of every layer's output, depthwise layers included") {
  if (shared_path("data").empty()) return;
  struct Network {
    std::string_view entry;
    const char* bits;
  };
  for (const Network& network : {Network{kCntk, "w3"}, Network{kKws, "w4"}, Network{kKws, "w3"}}) {
    const Trained task = load(network.entry, 128);
    // The keyword spotter comes without training data: it learns from inputs of a tenth of its test, never from labels.
    const Tensor samples =
        task.calibration.count() > 0 ? task.calibration.inputs : batch_of(task.test, 0, task.test.count() / 10);
    const std::vector<MatrixWeight> layers = matrix_weights(task.model);
    const std::vector<LayerInputs> inputs = observe_inputs(task.model, layers, samples, 1);
    const auto quantized = [&](const std::string& method) {
      std::string spec = method;
      spec.append(":").append(network.bits);
      return quantize_model(task.model, parse_quant_spec(spec), samples, 1).model;
    };
    const Model rounded = quantized("rtn"), learned = quantized("gptq");
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const std::vector<float> weights = matrix_values(task.model, layers[i]);
      const auto error = [&](const Model& model) {
        return mean_square_change(inputs[i], weights, matrix_values(model, layers[i]), layers[i].n, layers[i].k);
      };
      CHECK_MESSAGE(error(learned) <= error(rounded), task.model.graph.nodes[layers[i].node].name);
    }
    const int before = hits(rounded, task.test), after = hits(learned, task.test);
    MESSAGE(task.model.name, " ", std::string(network.bits), ": rtn ", before, ", gptq ", after);
    CHECK(after > before);
  }
}

TEST_CASE("importances of inputs shrink the error of the outputs of GGUF types") {
  if (shared_path("data").empty()) return;
  const Trained task = load(kKws, 0);  // most of its layers have rows of 64 weights
  const Tensor samples = batch_of(task.test, 0, task.test.count() / 10);
  const std::vector<MatrixWeight> layers = matrix_weights(task.model);
  const std::vector<LayerInputs> inputs = observe_inputs(task.model, layers, samples, 1);
  for (const char* type : {"q4_0", "q5_0", "q4_1", "iq4_nl"}) {
    double plain = 0, weighted = 0;
    for (const bool imatrix : {false, true}) {
      std::string spec("gguf:");
      spec.append(type).append(imatrix ? "@imatrix=1" : "");
      const QuantizedModel out = quantize_model(task.model, parse_quant_spec(spec), samples, 1);
      for (std::size_t i = 0; i < layers.size(); ++i) {
        const std::vector<float> weights = matrix_values(task.model, layers[i]);
        (imatrix ? weighted : plain) += std::log(std::max(
            mean_square_change(inputs[i], weights, matrix_values(out.model, layers[i]), layers[i].n, layers[i].k),
            1e-30));
      }
    }
    CHECK_MESSAGE(weighted < plain, type, ": ", weighted, " against ", plain);
  }
}

TEST_CASE("corrected biases bring back part of what rounding to few bits takes from the keyword spotter") {
  if (shared_path("data").empty()) return;
  const Trained task = load(kKws, 0);
  const Tensor samples = batch_of(task.test, 0, task.test.count() / 10);
  for (const char* bits : {"w4", "w3"}) {
    std::string spec("rtn:");
    spec.append(bits);
    const int plain = hits(quantize_model(task.model, parse_quant_spec(spec), {}, 1).model, task.test);
    spec.append("@bias=correct");
    const int corrected = hits(quantize_model(task.model, parse_quant_spec(spec), samples, 1).model, task.test);
    MESSAGE("kws ", std::string(bits), ": ", plain, ", with corrected biases ", corrected);
    CHECK(corrected > plain);
  }
}

TEST_CASE("weight errors of the trained network are ordered") {
  if (shared_path("data").empty()) return;
  const Trained task = load(kCntk, 0);
  for (const int bits : {2, 3, 4, 8}) {
    const std::string w = ":w" + std::to_string(bits);
    const double minmax = weight_error(task, "rtn" + w), searched = weight_error(task, "rtn" + w + "@range=mse");
    const double shared = weight_error(task, "kmeans" + w), optimum = weight_error(task, "kmeans" + w + "@init=dp");
    const double rows = weight_error(task, "kmeans" + w + "@per=channel"),
                 tensor = weight_error(task, "rtn" + w + "@per=tensor");
    const double entropy = weight_error(task, "entropy" + w);
    MESSAGE("squared weight error at ", bits, " bits: rtn ", minmax, ", rtn mse ", searched, ", rtn per tensor ",
            tensor, ", kmeans ", shared, ", optimum ", optimum, ", kmeans per channel ", rows, ", entropy ", entropy);
    CHECK(searched <= minmax);
    CHECK(optimum <= shared * (1 + 1e-4));
    CHECK(shared <= tensor);
    CHECK(rows <= minmax);
    CHECK(shared <= entropy);
  }
}

}  // namespace qb
