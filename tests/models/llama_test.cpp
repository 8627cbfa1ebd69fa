// Transformers by their sizes: one token after cached others is the last of all tokens at once.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/base/random.h"
#include "models/executor.h"
#include "models/llama.h"
#include "models/manifest.h"

namespace qb {
namespace {

constexpr std::int64_t kTokens = 21;

LlamaShape small() {
  LlamaShape shape;
  shape.layers = 3;
  shape.width = 48;
  shape.heads = 6;
  shape.kv_heads = 2;
  shape.hidden = 40;
  shape.vocabulary = 100;
  return shape;
}

Tensor token_rows(std::int64_t batch, std::int64_t tokens) {
  Tensor rows(DType::f32, {batch, tokens});
  Random random(3);
  for (float& token : rows.as<float>()) token = float(random.below(100));
  return rows;
}

/// [1, positions, heads * size] without its last position as [1, heads, positions - 1, size].
Tensor cached(const Tensor& tensor, std::int64_t heads) {
  const std::int64_t positions = tensor.shape[1] - 1, size = tensor.shape[2] / heads;
  Tensor past(DType::f32, {1, heads, positions, size});
  for (std::int64_t h = 0; h < heads; ++h)
    for (std::int64_t p = 0; p < positions; ++p)
      for (std::int64_t e = 0; e < size; ++e)
        past.as<float>()[std::size_t((h * positions + p) * size + e)] =
            tensor.as<float>()[std::size_t((p * heads + h) * size + e)];
  return past;
}

std::vector<float> scores_of(Executor& executor, const Tensor& tokens) {
  const std::span<const float> scores = executor.run(tokens).as<float>();
  return {scores.begin(), scores.end()};
}

/// Scores are of the size of 1; 60 products of 48 terms follow each other, each rounded by at most 48 * 2^-24.
void check_close(std::span<const float> got, std::span<const float> wanted) {
  REQUIRE(got.size() == wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(std::abs(got[i] - wanted[i]) < 2e-4);
}

TEST_CASE("one token after cached others gives what all of them at once give for the last") {
  LlamaShape all = small();
  all.tokens = kTokens;
  const Model prefill = random_llama(all);
  LlamaShape last = small();
  last.past = kTokens - 1;
  Model decode = random_llama(last);
  for (const auto& [name, weight] : prefill.weights)  // streams of random numbers differ where there is a past
    if (name.ends_with(".weight")) decode.weights.insert_or_assign(name, weight);

  Executor whole(prefill, {});
  ExecutorObserver observer;
  observer.after = [&](const NodeEvent& event) {
    const std::string& name = event.what->name;
    const std::string block = name.substr(0, name.rfind('.', name.find(".attn")) + 1);
    if (name.ends_with("attn_k.turned"))
      decode.weights.insert_or_assign(block + "past_key", cached(*event.outputs[0], 2));
    if (name.ends_with("attn_v")) decode.weights.insert_or_assign(block + "past_value", cached(*event.outputs[0], 2));
  };
  whole.observe(observer);
  const Tensor tokens = token_rows(1, kTokens);
  const std::vector<float> wanted = scores_of(whole, tokens);
  REQUIRE(wanted.size() == 100);

  Tensor own(DType::f32, {1, 1});
  own.as<float>()[0] = tokens.as<float>()[kTokens - 1];
  Executor step(decode, {});
  check_close(scores_of(step, own), wanted);
  Executor reference(decode, {.kernel = "reference"});
  check_close(scores_of(reference, own), wanted);
}

TEST_CASE("scores of every position end with those of the last, and samples do not meet") {
  LlamaShape shape = small();
  shape.tokens = kTokens;
  const Model last = random_llama(shape);
  shape.every_position = true;
  const Model every = random_llama(shape);
  const Tensor tokens = token_rows(2, kTokens);
  Executor two(last, {.threads = 2, .batch = 2}), all(every, {.batch = 2});
  const std::vector<float> wanted = scores_of(two, tokens), got = scores_of(all, tokens);
  REQUIRE(wanted.size() == 200);
  REQUIRE(got.size() == 200 * kTokens);
  for (std::size_t sample = 0; sample < 2; ++sample) {
    const auto row = std::span(got).subspan((sample * kTokens + kTokens - 1) * 100, 100);
    check_close(row, std::span(wanted).subspan(sample * 100, 100));
    Tensor own(DType::f32, {1, kTokens});
    std::ranges::copy(tokens.as<float>().subspan(sample * kTokens, kTokens), own.as<float>().begin());
    Executor one(last, {});
    CHECK(scores_of(one, own) == std::vector<float>(wanted.begin() + std::ptrdiff_t(100 * sample),
                                                    wanted.begin() + std::ptrdiff_t(100 * sample + 100)));
  }
}

TEST_CASE("a study can name the sizes of a transformer, judged by its own answers") {
  const DataRoots roots;
  const auto read = [&](const std::string& text) {
    return read_model_entry(parse_json(text, "study", Blame::user), "models[0]", roots);
  };
  const std::string sizes = R"("layers": 1, "width": 32, "heads": 4, "hidden": 24, "vocabulary": 50, "tokens": 5)";
  const std::string data = R"(, "dataset": {"generated": {"ids": 50}}})";
  const ModelManifest manifest = read(R"({"name": "tiny", "llama": {)" + sizes + "}" + data);
  CHECK(manifest.files.empty());
  const ModelManifest again = manifest_from_json(to_json(manifest), "peer", Blame::peer);
  CHECK(to_json(again) == to_json(manifest));
  CHECK(model_digest(again) == model_digest(manifest));
  const ModelManifest seeded = read(R"({"name": "tiny", "llama": {"seed": 2, )" + sizes + "}" + data);
  CHECK(model_digest(seeded) != model_digest(manifest));

  const FileSource none = [](const FileRef&) { return std::filesystem::path(); };
  const Dataset samples = load_dataset(again, "test", 40, 1, none);
  REQUIRE(samples.inputs.shape == Shape{40, 5});
  CHECK(samples.classes == 50);
  for (const float id : samples.inputs.as<float>()) CHECK((id >= 0 && id < 50 && id == std::floor(id)));

  const auto fault = [&](const std::string& text) -> std::string {
    try {
      read(text);
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(fault(R"({"llama": {"layer": 2})" + data).find("did you mean 'layers'") != std::string::npos);
  CHECK(fault(R"({"llama": {"heads": 3})" + data).find("a width of 1024 needs") != std::string::npos);
  CHECK(fault(R"({"llama": {"kv_heads": 5})" + data).find("must divide the 16 heads") != std::string::npos);
  CHECK(fault(R"({"llama": {"tokens": 0})" + data).find("'tokens'") != std::string::npos);
  CHECK(fault(R"({"llama": {}, "onnx": "x")" + data).find("names 2 of") != std::string::npos);
  CHECK(fault(R"({"llama": {}, "task": "language")" + data).find("'task'") != std::string::npos);
  CHECK(fault(R"({"llama": {"vocabulary": 49})" + data).find("to the vocabulary's 49") != std::string::npos);
  CHECK(fault(R"({"llama": {}, "dataset": {"generated": {"ids": 50, "blob": 1}}})").find("'blob'") !=
        std::string::npos);
}

}  // namespace
}  // namespace qb
