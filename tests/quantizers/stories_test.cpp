// A trained transformer as a graph of Attention, RotaryEmbedding and RMSNormalization, judged on text: perplexities
// that were computed independently, of the float model and of rounded weights (../shared/data/README.md).
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>
#include <map>

#include "kernels/base/files.h"
#include "models/executor.h"
#include "models/import.h"
#include "models/llama.h"
#include "models/metrics.h"
#include "quantizers/quantizer.h"
#include "tests/shared_data.h"

namespace qb {
namespace {

constexpr std::int64_t kChunk = 512, kChunks = 40, kVocabulary = 512;

/// Words by merging the pair of the best score again and again. Source: llama2.c, tokenizer of byte pairs.
class Tokenizer {
 public:
  explicit Tokenizer(const std::string& file) {
    std::size_t at = 4;  // behind the length of the longest word
    for (int id = 0; id < kVocabulary; ++id) {
      float score = 0;
      std::int32_t length = 0;
      std::memcpy(&score, file.data() + at, 4);
      std::memcpy(&length, file.data() + at + 4, 4);
      words_.push_back(file.substr(at + 8, std::size_t(length)));
      scores_.push_back(score);
      ids_.emplace(words_.back(), id);
      at += 8 + std::size_t(length);
    }
  }

  std::vector<int> operator()(const std::string& text) const {
    constexpr int kBegin = 1, kFirstByte = 3;
    std::vector<int> tokens = {kBegin, ids_.at(" ")};
    for (std::size_t i = 0; i < text.size();) {
      std::size_t bytes = 1;
      while (i + bytes < text.size() && (static_cast<unsigned char>(text[i + bytes]) & 0xc0) == 0x80) ++bytes;
      const auto known = ids_.find(text.substr(i, bytes));
      if (known != ids_.end()) tokens.push_back(known->second);
      for (std::size_t b = 0; known == ids_.end() && b < bytes; ++b)
        tokens.push_back(static_cast<unsigned char>(text[i + b]) + kFirstByte);
      i += bytes;
    }
    while (merge_best(tokens)) {
    }
    return tokens;
  }

 private:
  bool merge_best(std::vector<int>& tokens) const {
    std::size_t place = tokens.size();
    int word = -1;
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
      const auto both = ids_.find(words_[std::size_t(tokens[i])] + words_[std::size_t(tokens[i + 1])]);
      if (both == ids_.end() || (word >= 0 && scores_[std::size_t(both->second)] <= scores_[std::size_t(word)]))
        continue;
      place = i;
      word = both->second;
    }
    if (word < 0) return false;
    tokens[place] = word;
    tokens.erase(tokens.begin() + std::ptrdiff_t(place) + 1);
    return true;
  }

  std::vector<std::string> words_;
  std::vector<float> scores_;
  std::map<std::string, int> ids_;
};

std::string trimmed(const std::string& text) {
  constexpr const char* kSpace = " \n\r\t";
  const std::size_t begin = text.find_first_not_of(kSpace);
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

/// At least `count` tokens of the stories in a file.
std::vector<int> story_tokens(const Tokenizer& tokenizer, const std::string& text, std::size_t count) {
  const std::string border = "<|endoftext|>";
  std::vector<int> tokens;
  for (std::size_t at = 0; at < text.size() && tokens.size() < count;) {
    const std::size_t end = std::min(text.find(border, at), text.size());
    const std::string story = trimmed(text.substr(at, end - at));
    const std::vector<int> own = story.empty() ? std::vector<int>() : tokenizer(story);
    tokens.insert(tokens.end(), own.begin(), own.end());
    at = end + border.size();
  }
  return tokens;
}

/// Matrices of the file are [out, in], those of the graph [in, out].
Tensor turned(const Tensor& matrix) {
  const std::int64_t rows = matrix.shape[0], columns = matrix.shape[1];
  Tensor result(DType::f32, {columns, rows});
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j)
      result.as<float>()[std::size_t(j * rows + i)] = matrix.as<float>()[std::size_t(i * columns + j)];
  return result;
}

Model stories_model() {
  LlamaShape shape;
  shape.layers = 5;
  shape.width = 64;
  shape.heads = 8;
  shape.kv_heads = 4;
  shape.hidden = 172;
  shape.vocabulary = kVocabulary;
  shape.tokens = kChunk;
  shape.every_position = true;
  Model model;
  model.name = "stories260K";
  model.graph = llama_graph(shape);
  model.weights = llama_constants(shape);
  const std::string path = "llm-stories260K/stories260K-f32.safetensors";
  for (auto& [name, tensor] : read_safetensors(read_file(shared_path("data/" + path)), path)) {
    const bool product = tensor.shape.size() == 2 && name != "token_embd.weight";
    if (name == "token_embd.weight") model.weights.emplace("output.weight", turned(tensor));
    model.weights.emplace(name, product ? turned(tensor) : std::move(tensor));
  }
  return model;
}

struct Judged {
  double perplexity = 0, right = 0;
};

Judged judge(const Model& model, const std::vector<int>& tokens) {
  Executor executor(model, {});
  std::vector<double> likelihoods;
  std::int64_t hits = 0;
  Tensor inputs(DType::f32, {1, kChunk});
  for (std::int64_t chunk = 0; chunk < kChunks; ++chunk) {
    const auto token = [&](std::int64_t i) { return tokens[std::size_t(chunk * kChunk + i)]; };
    for (std::int64_t i = 0; i < kChunk; ++i) inputs.as<float>()[std::size_t(i)] = float(token(i));
    const std::span<const float> scores = executor.run(inputs).as<float>();
    for (std::int64_t i = 0; i < kChunk; ++i) {
      const ItemScore score =
          score_item(scores.subspan(std::size_t(i * kVocabulary), kVocabulary), token(i + 1), ScoreKind::logits);
      likelihoods.push_back(score.log_likelihood);
      hits += score.hit1;
    }
  }
  return {perplexity(likelihoods).value, double(hits) / double(likelihoods.size())};
}

/// Products of the blocks with rounded weights; embedding and classifier stay float.
Model rounded(const Model& model, const std::string& spec) {
  Model quantized = quantize_model(model, parse_quant_spec(spec), {}, 1).model;
  quantized.weights.insert_or_assign("output.weight", model.weights.at("output.weight"));
  return quantized;
}

TEST_CASE("a transformer reads stories as well as was computed elsewhere, with float and with rounded weights") {
  if (shared_path("data/llm-stories260K").empty() || shared_path("data/tinystories-text").empty()) return;
  const Tokenizer tokenizer(read_file(shared_path("data/llm-stories260K/tok512.bin")));
  const std::vector<int> tokens = story_tokens(
      tokenizer, read_file(shared_path("data/tinystories-text/dev-eval-300.txt")), std::size_t(kChunks * kChunk + 1));
  REQUIRE(tokens.size() > std::size_t(kChunks * kChunk));
  const Model model = stories_model();
  // Both computed in float32, in other orders: 20,480 losses whose rounding errors (about 1e-6 each) do not add up. The
  // figures have six digits.
  CHECK(judge(model, tokens).perplexity == doctest::Approx(4.94289).epsilon(2e-6));
  // A weight that lies between two codes but for its last bit may fall to either.
  CHECK(judge(rounded(model, "rtn:w8"), tokens).perplexity == doctest::Approx(4.94737).epsilon(1e-5));
  CHECK(judge(rounded(model, "rtn:w6"), tokens).perplexity == doctest::Approx(4.96512).epsilon(1e-5));
  CHECK(judge(rounded(model, "rtn:w4"), tokens).perplexity == doctest::Approx(5.93617).epsilon(1e-5));
  CHECK(judge(rounded(model, "rtn:w3"), tokens).perplexity == doctest::Approx(32.008).epsilon(1e-4));
}

}  // namespace
}  // namespace qb
