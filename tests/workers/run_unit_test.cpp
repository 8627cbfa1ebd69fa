// Whole units on a model that the repository ships, and on kernels that are wrong on purpose.
#include "workers/run_unit.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "kernels/base/cpu.h"
#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "kernels/base/parallel.h"
#include "models/import.h"
#include "models/manifest.h"
#include "tests/harness/temporary_folder.h"

namespace qb {
namespace {

namespace fs = std::filesystem;

DataRoots roots() { return {{fs::path(QB_SOURCE_ROOT) / "configs"}}; }

WorkUnit unit_of(const std::string& model, const std::string& quantizer, const std::string& kernel = "best") {
  WorkUnit unit;
  unit.model = read_model_entry(Json(model), "model", roots());
  unit.combination = {model, quantizer, "best", kernel, 1, 1};
  unit.isa = "best";
  unit.measure.accuracy_samples = 200;
  unit.measure.calibration_samples = 64;
  unit.measure.time_limit_s = 0.1;
  unit.id = unit_id(unit);
  return unit;
}

Measurement measure(const WorkUnit& unit) {
  const FileSource files = [](const FileRef& ref) { return roots().find(ref.path); };
  const Measurement result = run_unit(unit, files, {});
  // Whatever came of it can be sent and stored.
  const Measurement back =
      measurement_from_json(parse_json(canonical_text(to_json(result)), "m", Blame::peer), "m", Blame::peer);
  CHECK(measurement_digest(back) == measurement_digest(result));
  CHECK(result.unit == unit.id);
  return result;
}

double accuracy(const Measurement& m) {
  double hits = 0;
  for (std::size_t i = 0; i < m.items.index.size(); ++i) hits += m.items.top1[i] == m.items.target[i];
  return hits / double(m.items.index.size());
}

TEST_CASE("a quantized unit is proven, judged, timed and weighed") {
  const Measurement m = measure(unit_of("glyphs-mlp", "rtn:w8a8"));
  REQUIRE_MESSAGE(m.outcome == Outcome::ok, m.reason);
  CHECK(m.items.index.size() == 200);
  REQUIRE(m.items.hit5.size() == 200);
  REQUIRE(m.items.float_hit5.size() == 200);
  for (std::size_t i = 0; i < 200; ++i) {
    CHECK(m.items.hit5[i] >= (m.items.top1[i] == m.items.target[i] ? 1 : 0));
    CHECK(m.items.float_hit5[i] >= (m.items.float_top1[i] == m.items.target[i] ? 1 : 0));
  }
  // The model is right for most samples and wrong for some, so that five guesses are better than one.
  const auto hits5 = std::count(m.items.hit5.begin(), m.items.hit5.end(), 1);
  CHECK(double(hits5) > 200 * accuracy(m));
  CHECK(m.kernels.find("gemm_s8_q8") != std::string::npos);
  CHECK(m.repeatable);
  CHECK(m.kernel_error <= m.kernel_bound);
  CHECK(std::ssize(m.hot.time_ns) > m.hot.warmup);
  CHECK(std::ssize(m.cold.time_ns) > m.cold.warmup);
  CHECK(m.peak_bytes > 0);
  CHECK(m.base_bytes > 0);
  CHECK(m.packed_bytes > 0);
  // 8 bits and a float scale per row of 64 to 400 weights.
  CHECK(m.bits_per_weight > 8.0);
  CHECK(m.bits_per_weight < 8.6);
  REQUIRE(m.layers.size() == 3);
  for (const LayerMeasurement& layer : m.layers) {
    CHECK(layer.output_sqnr_db > 20);
    CHECK(layer.time_share > 0);
  }
}

TEST_CASE("a float unit loses nothing: every item is equal to the reference's") {
  const Measurement m = measure(unit_of("glyphs-mlp", "float"));
  REQUIRE_MESSAGE(m.outcome == Outcome::ok, m.reason);
  CHECK(m.items.top1 == m.items.float_top1);
  CHECK(m.items.log_likelihood == m.items.float_log_likelihood);
  CHECK(m.output_sqnr_db == 999);
  CHECK(accuracy(m) > 0.85);
}

TEST_CASE("generated samples are answered by the float model, which keeps all answers of its own") {
  const Json entry = {{"name", "glyphs-mlp"},
                      {"safetensors", "zoo/glyphs-mlp/weights.safetensors"},
                      {"graph", "zoo/glyphs-mlp/model.json"},
                      {"dataset", {{"generated", Json::object()}, {"scale", 1.0 / 255}}}};
  const auto measured = [&](const std::string& quantizer) {
    WorkUnit unit = unit_of("glyphs-mlp", quantizer);
    unit.model = read_model_entry(entry, "model", roots());
    unit.id = unit_id(unit);
    return measure(unit);
  };
  const Measurement whole = measured("float"), coarse = measured("rtn:w2");
  REQUIRE_MESSAGE(whole.outcome == Outcome::ok, whole.reason);
  REQUIRE_MESSAGE(coarse.outcome == Outcome::ok, coarse.reason);
  CHECK(accuracy(whole) == 1);
  CHECK(accuracy(coarse) < 1);
  CHECK(coarse.items.float_top1 == coarse.items.target);
  CHECK(whole.dataset.find("answers of the float model") != std::string::npos);
}

/// 24 inputs, 3 scores; codes between two ends in float32.
constexpr const char* kCodesGraph =
    R"({"opset": 21, "inputs": [{"name": "x", "dtype": "f32", "shape": [-1, 24]}], "outputs": ["y"],
  "nodes": [{"name": "in", "op": "QuantizeLinear", "inputs": ["x", "one", "zero"], "outputs": ["a"], "attributes": {}},
            {"name": "dense", "op": "QLinearMatMul", "inputs": ["a", "one", "zero", "w", "one", "w_zero", "scale", "zero"],
             "outputs": ["b"], "attributes": {}},
            {"name": "out", "op": "DequantizeLinear", "inputs": ["b", "scale", "zero"], "outputs": ["y"], "attributes": {}}]})";

TEST_CASE("a unit of a network of codes names the kernel, its format and its layer") {
  const TemporaryFolder folder;
  TensorMap tensors;
  tensors["w"] = Tensor(DType::i8, {24, 3});
  for (std::size_t i = 0; i < 72; ++i) tensors["w"].as<std::int8_t>()[i] = std::int8_t(i * 89 % 256);
  tensors["zero"] = Tensor(DType::u8, {});
  tensors["zero"].as<std::uint8_t>()[0] = 128;
  tensors["w_zero"] = Tensor(DType::i8, {});
  tensors["one"] = tensor_of({}, std::vector<float>{1});
  tensors["scale"] = tensor_of({}, std::vector<float>{400});
  write_file_atomically(folder / "w.safetensors", write_safetensors(tensors));
  write_file_atomically(folder / "g.json", kCodesGraph);
  const DataRoots own{{folder.path()}};
  WorkUnit unit = unit_of("glyphs-mlp", "float");
  unit.model = read_model_entry(
      Json::parse(R"({"safetensors": "w.safetensors", "graph": "g.json", "dataset": {"generated": {}}})"), "m", own);
  unit.id = unit_id(unit);
  const Measurement m = run_unit(unit, [&](const FileRef& ref) { return own.find(ref.path); }, {});
  REQUIRE_MESSAGE(m.outcome == Outcome::ok, m.reason);
  CHECK(m.kernels.find("gemm_s8_q8") != std::string::npos);
  REQUIRE(m.layers.size() == 1);
  CHECK(m.layers[0].op == "QLinearMatMul");
  CHECK(m.layers[0].shape == "[3, 24]");
  CHECK(m.layers[0].format == "q8c");
  CHECK(m.layers[0].kernel_error == 0);
  CHECK(m.layers[0].time_share > 0);
}

TEST_CASE("the reference kernels judge as the best ones do, with integer activations bit for bit") {
  const Measurement best = measure(unit_of("glyphs-mlp", "rtn:w8a8")),
                    plain = measure(unit_of("glyphs-mlp", "rtn:w8a8", "reference"));
  REQUIRE(best.outcome == Outcome::ok);
  REQUIRE(plain.outcome == Outcome::ok);
  CHECK(plain.kernels.find("_ref") != std::string::npos);
  CHECK(best.items.top1 == plain.items.top1);
  CHECK(plain.kernel_error == 0);
}

TEST_CASE("a unit whose kernel is made wrong is failed with the error and has no latency") {
  for (const auto& [quantizer, kernel] :
       {std::pair{"float", "gemm_f32_f32_faulty"}, {"rtn:w8a8", "gemm_s8_q8_faulty"}}) {
    INFO("kernel " << kernel);
    const Measurement m = measure(unit_of("glyphs-mlp", quantizer, kernel));
    CHECK(m.outcome == Outcome::failed);
    CHECK_FALSE(m.passing);  // it would fail again
    CHECK(m.reason.find(kernel) != std::string::npos);
    CHECK(m.reason.find("node 'dense") != std::string::npos);
    CHECK(m.reason.find("of sum |a||w|, but rounding explains") != std::string::npos);
    CHECK(m.hot.time_ns.empty());
    CHECK(m.cold.time_ns.empty());
    CHECK(m.items.index.empty());
  }
}

TEST_CASE("what cannot run here is unsupported, what makes no sense is failed, both in words") {
  CHECK(measure(unit_of("glyphs-mlp", "rtn:w4", "gemm_s8_q8_faulty")).outcome == Outcome::unsupported);
  WorkUnit many = unit_of("glyphs-mlp", "float");
  many.combination.threads = hardware_threads() + 1;
  many.id = unit_id(many);
  const Measurement crowded = measure(many);
  CHECK(crowded.outcome == Outcome::unsupported);
  CHECK(crowded.reason.find("processors") != std::string::npos);
  WorkUnit elsewhere = unit_of("glyphs-mlp", "float");
  elsewhere.isa = includes(detected_isa(), Isa::neon) ? "avx2" : "neon";
  elsewhere.id = unit_id(elsewhere);
  CHECK(measure(elsewhere).outcome == Outcome::unsupported);
  CHECK(measure(unit_of("glyphs-mlp", "rtn:w4", "gemm_of_nothing")).outcome == Outcome::failed);
  WorkUnit starved = unit_of("glyphs-mlp", "rtn:w8a8@mode=static");
  starved.measure.calibration_samples = 0;
  starved.id = unit_id(starved);
  CHECK(measure(starved).outcome == Outcome::failed);
}

TEST_CASE("more rows and more threads give the same answers") {
  WorkUnit one = unit_of("glyphs-cnn", "rtn:w4");
  one.measure.accuracy_samples = 64;
  one.id = unit_id(one);
  WorkUnit other = one;
  other.combination.batch = 16;
  other.combination.threads = std::min(2, hardware_threads());
  other.id = unit_id(other);
  const Measurement a = measure(one), b = measure(other);
  REQUIRE_MESSAGE(a.outcome == Outcome::ok, a.reason);
  REQUIRE_MESSAGE(b.outcome == Outcome::ok, b.reason);
  CHECK(a.items.top1 == b.items.top1);
  CHECK(b.repeatable);
}

}  // namespace
}  // namespace qb
