// What the literature says of methods against each other, on trained networks: each claim with the margin that is
// asked for. Errors are those of a network's last results on samples that no method has seen, against its float
// results.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/base/files.h"
#include "kernels/base/random.h"
#include "models/executor.h"
#include "models/import.h"
#include "models/layer_edits.h"
#include "models/manifest.h"
#include "quantizers/quantizer.h"
#include "tests/shared_data.h"

namespace qb {
namespace {

struct Network {
  Model model;
  Tensor calibration, unseen;
  std::vector<float> wanted;

  struct Outcome {
    double result_error = 0;  ///< squared change of the last results over their power
    double weight_error = 0;  ///< squared change of all quantized weights
    double bits = 0;
  };
  Outcome outcome(const std::string& spec) const {
    const QuantizedModel out = quantize_model(model, parse_quant_spec(spec), calibration, 2);
    Outcome outcome{error_of(results(out.model)), 0, model_bytes(out.model).bits_per_weight};
    for (const LayerReport& layer : out.layers) {
      double power = 0;
      for (const float value : matrix_values(out.prepared ? *out.prepared : model, layer.where))
        power += double(value) * double(value);
      outcome.weight_error += power * std::pow(10.0, -layer.weight_sqnr_db / 10);
    }
    return outcome;
  }
  double result_error(const std::string& spec) const { return outcome(spec).result_error; }

  std::vector<float> results(const Model& which) const {
    ExecutorOptions options;
    options.batch = unseen.shape[0];
    options.threads = 2;
    Executor executor(which, options);
    const std::span<const float> values = executor.run(unseen).as<float>();
    return {values.begin(), values.end()};
  }

 private:
  double error_of(const std::vector<float>& got) const {
    double change = 0, power = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      change += (double(got[i]) - double(wanted[i])) * (double(got[i]) - double(wanted[i]));
      power += double(wanted[i]) * double(wanted[i]);
    }
    return change / power;
  }
};

/// Pictures of a few soft blobs of colour, in the range of normalized photographs.
Tensor blobs(Shape shape, std::uint64_t seed) {
  Tensor tensor(DType::f32, shape);
  Random random(seed);
  const std::span<float> values = tensor.as<float>();
  const std::int64_t height = shape[2], width = shape[3];
  for (std::size_t plane = 0; plane < values.size(); plane += std::size_t(height * width)) {
    for (int blob = 0; blob < 6; ++blob) {
      const double x = random.uniform(0, double(width)), y = random.uniform(0, double(height));
      const double size = random.uniform(2, 12), strength = random.normal();
      for (std::int64_t i = 0; i < height * width; ++i) {
        const double dx = double(i % width) - x, dy = double(i / width) - y;
        values[plane + std::size_t(i)] += float(strength * std::exp(-(dx * dx + dy * dy) / (2 * size * size)));
      }
    }
  }
  return tensor;
}

constexpr std::int64_t kCalibration = 96, kUnseen = 64;

/// The first samples of the test data that the method sees are not those on which it is judged.
Network network(std::string_view entry, const DataRoots& roots) {
  const ModelManifest manifest = read_model_entry(Json::parse(entry), "test", roots);
  const FileSource source = [&](const FileRef& file) { return roots.find(file.path); };
  Network out{load_model(manifest, source), {}, {}, {}};
  const Dataset data = load_dataset(manifest, "test", kCalibration + kUnseen, 1, source);
  out.calibration = batch_of(data, 0, kCalibration);
  out.unseen = batch_of(data, kCalibration, kUnseen);
  out.wanted = out.results(out.model);
  return out;
}

/// A network that comes without pictures.
Network residual_network(const std::string& path) {
  Network out{read_onnx(read_file(shared_path(path)), path), {}, {}, {}};
  fold_batch_norm(out.model);
  Shape shape = out.model.graph.inputs[0].shape;
  const auto pictures = [&](std::int64_t count, std::uint64_t seed) {
    shape[0] = count;
    return blobs(shape, seed);
  };
  out.calibration = pictures(kCalibration, 1);
  out.unseen = pictures(kUnseen, 2);
  out.wanted = out.results(out.model);
  return out;
}

constexpr std::string_view kCntk = R"({"name": "mnist-cntk", "onnx": "mnist-onnx-cntk/opt-mnist.onnx",
  "dataset": {"idx": "mnist-idx", "scale": 0.00392156862745098}})";
constexpr std::string_view kKws = R"({"name": "kws", "onnx": "kws-mlperf-tiny/kws_ref_model_float32.onnx",
  "dataset": {"bytes": "kws-mlperf-tiny/kws01-mfcc-int8.bin", "labels": "kws-mlperf-tiny/y_labels.csv",
              "scale": 0.5847029, "zero": 83, "shape": [1, 49, 10], "classes": 12}})";

const std::map<std::string, Network>& networks() {
  static const std::map<std::string, Network> all = [] {
    std::map<std::string, Network> made;
    made.emplace("glyphs-cnn", network("\"glyphs-cnn\"", {{std::filesystem::path(QB_SOURCE_ROOT) / "configs"}}));
    if (shared_path("data").empty()) return made;
    const DataRoots shared{{shared_path("data")}};
    made.emplace("mnist-cntk", network(kCntk, shared));
    made.emplace("kws", network(kKws, shared));
    made.emplace("resnet-8", residual_network("data/ic-mlperf-tiny/pretrainedResnet_float32.onnx"));
    made.emplace("resnet-20", residual_network("data/cifar-resnet-akamaster/resnet20.onnx"));
    return made;
  }();
  return all;
}

/// The claim that a better spec has at most `share` of a worse one's error, on every network but some.
void check_share(const std::string& better, const std::string& worse, double share, double Network::Outcome::*error,
                 const std::set<std::string>& but = {}) {
  for (const auto& [name, network] : networks()) {
    const double found = network.outcome(better).*error / (network.outcome(worse).*error);
    MESSAGE(name, ": ", better, " has ", found, " of the error of ", worse);
    if (!but.contains(name)) CHECK_MESSAGE(found <= share, name, ": ", better, " against ", worse);
  }
}

}  // namespace

TEST_CASE("k-means has at most three quarters of the weight error of a uniform grid") {
  for (const std::string bits : {"w4", "w3", "w2"})
    check_share(fmt::format("kmeans:{}@per=channel", bits), fmt::format("rtn:{}", bits), 0.75,
                &Network::Outcome::weight_error);
}

TEST_CASE("ranges of least squared error have less weight error than whole ranges at few bits") {
  check_share("rtn:w4@range=mse", "rtn:w4", 0.9, &Network::Outcome::weight_error);
  check_share("rtn:w3@range=mse", "rtn:w3", 0.8, &Network::Outcome::weight_error);
}

TEST_CASE("GPTQ has less error of results than round to nearest at equal bits") {
  check_share("gptq:w4", "rtn:w4", 0.5, &Network::Outcome::result_error);
  check_share("gptq:w3", "rtn:w3", 0.5, &Network::Outcome::result_error);
}

TEST_CASE("GPTQ has less error where it aims at the float model's results from inputs of quantized layers") {
  // As Li et al. 2025 (GPTAQ) report. The two networks of two and three layers, where little adds up, gain little:
  // 0.87 and 0.88 at 4 bits, 0.94 and 1.05 at 3. Inputs of quantized layers alone, with the layer's own results on them
  // as target, are no clear gain: 0.75 (resnet-20) to 2.3 (kws) at 4 bits.
  check_share("gptq:w4@inputs=asymmetric", "gptq:w4", 0.95, &Network::Outcome::result_error);
  check_share("gptq:w3@inputs=asymmetric", "gptq:w3", 0.5, &Network::Outcome::result_error,
              {"glyphs-cnn", "mnist-cntk"});
}

TEST_CASE("learnt roundings have less error of results than the nearest ones at 4 bits") {
  check_share("adaround:w4", "rtn:w4", 0.5, &Network::Outcome::result_error);
}

TEST_CASE("equalized layers bear one scale for the whole tensor better, depthwise networks above all") {
  // Nagel et al. 2019 show it for MobileNets. glyphs-cnn's ranges are even already (1.13), and in resnet-20 only the
  // first convolution of each block has a reader of its own (1.22).
  check_share("equalize+rtn:w4@per=tensor", "rtn:w4@per=tensor", 0.85, &Network::Outcome::result_error,
              {"glyphs-cnn", "resnet-20"});
}

TEST_CASE("AWQ has less error of results than round to nearest at equal bits") {
  // On glyphs-cnn every layer's own error halves, but what clipping leaves adds up from layer to layer: 1.23.
  check_share("awq:w3g32", "rtn:w3g32@grid=asym", 0.85, &Network::Outcome::result_error, {"glyphs-cnn"});
}

TEST_CASE("finer scales, and more bits, have less error") {
  check_share("rtn:w4g16", "rtn:w4", 0.9, &Network::Outcome::weight_error);
  check_share("rtn:w4", "rtn:w4@per=tensor", 0.9, &Network::Outcome::weight_error);
  check_share("rtn:w5", "rtn:w4", 0.35, &Network::Outcome::weight_error);
  check_share("rtn:w4", "rtn:w3", 0.35, &Network::Outcome::weight_error);
  check_share("gguf:q5_0", "gguf:q4_0", 0.35, &Network::Outcome::weight_error);
}

TEST_CASE("the error of smoothed int8 layers has a valley over alpha") {
  for (const auto& [name, network] : networks()) {
    std::vector<double> errors;
    for (const double alpha : {0.0, 0.25, 0.5, 0.75, 1.0})
      errors.push_back(network.result_error(fmt::format("smoothquant+rtn:w8a8@alpha={},mode=static", alpha)));
    MESSAGE(name, ": alpha 0, 0.25 .. 1: ", fmt::format("{:.3g}", fmt::join(errors, " ")));
    const double inside = std::min({errors[1], errors[2], errors[3]});
    CHECK_MESSAGE(inside < errors[0], name);
    CHECK_MESSAGE(inside < errors[4], name);
  }
}

}  // namespace qb
