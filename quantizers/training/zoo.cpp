#include "quantizers/training/zoo.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <system_error>

#include "kernels/base/digest.h"
#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "kernels/base/json.h"
#include "kernels/base/text.h"
#include "quantizers/training/fit.h"
#include "quantizers/training/zoo_networks.h"

namespace qb {
namespace {

constexpr std::int64_t kBatch = 64;

/// Seed of the test split on which the accuracy in model.json was measured.
constexpr std::uint64_t kTestSeed = 1;

const ZooModel& find_model(std::string_view name) {
  std::vector<std::string> names;
  for (const ZooModel& model : zoo_models()) {
    if (model.name == name) return model;
    names.emplace_back(model.name);
  }
  throw InputError(fmt::format("the zoo has no model '{}'{}", name, suggestion(name, names)));
}

Dataset samples_of(const ZooModel& model, const std::string& split, std::int64_t count, std::uint64_t seed,
                   int threads) {
  if (model.kind == "grammar") return grammar(GrammarOptions{}, split, count, seed);
  return glyphs(GlyphsOptions{}, split, count, seed, threads);
}

std::string options_text(const ZooModel& model) {
  return model.kind == "grammar" ? to_text(GrammarOptions{}) : to_text(GlyphsOptions{});
}

std::string model_json(const ZooModel& model, const Network& network, const ZooReport& report, std::int64_t samples,
                       std::int64_t test_samples) {
  const std::string where = fmt::format("zoo model '{}'", model.name);
  Json json;
  json["graph"] = parse_json(to_json_text(network.graph), where, Blame::peer);
  json["task"] = name_of(model.task);
  json["dataset"] = {{std::string(model.kind), parse_json(options_text(model), where, Blame::peer)}};
  json["trained"] = {{"accuracy", report.accuracy}, {"loss_nats", report.loss_nats}, {"test_samples", test_samples},
                     {"samples", samples},          {"epochs", model.epochs},        {"seed", model.seed}};
  json["sha256"] = report.weights_sha256;
  return json.dump(1) + "\n";
}

}  // namespace

std::span<const ZooModel> zoo_models() {
  static constexpr std::array table = {
      ZooModel{"glyphs-mlp", "drawn characters, dense network 400-128-64-47", Task::classification, "glyphs",
               glyphs_mlp_network, 20000, 30, 3e-3, 1},
      ZooModel{"glyphs-cnn", "drawn characters, three convolutions and a dense layer", Task::classification, "glyphs",
               glyphs_cnn_network, 10000, 20, 3e-3, 2},
      ZooModel{"grammar-mlp", "next token of a generated language, dense network 64-128-64-16", Task::language,
               "grammar", grammar_mlp_network, 20000, 20, 3e-3, 3},
  };
  return table;
}

ZooReport train_zoo_model(std::string_view name, const std::filesystem::path& zoo,
                          const std::function<void(std::string_view)>& progress, const ZooOptions& options) {
  const ZooModel& model = find_model(name);
  QB_EXPECTS(options.schedule > 0 && options.schedule <= 1 && options.test_samples >= 1);
  const std::filesystem::path folder = zoo / name;
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (failure) throw InputError(fmt::format("folder '{}' cannot be made: {}", folder.string(), failure.message()));

  const auto samples = std::max(kBatch, std::int64_t(double(model.samples) * options.schedule));
  Network network = model.network();
  initialize(network.weights, model.seed);
  const auto source = [&](int epoch) {
    return samples_of(model, "train", samples, (model.seed << 32) + std::uint64_t(epoch), options.threads);
  };
  const FitOptions schedule = {.epochs = model.epochs,
                               .batch = kBatch,
                               .learning_rate = model.learning_rate,
                               .seed = model.seed,
                               .threads = options.threads};
  fit(network.graph, network.weights, source, schedule, [&](const EpochReport& epoch) {
    if (progress)
      progress(fmt::format("{}: epoch {} of {}, loss {:.4f} nats, accuracy {:.2f} %", name, epoch.epoch + 1,
                           model.epochs, epoch.loss_nats, 100 * epoch.accuracy));
  });

  const Dataset test = samples_of(model, "test", options.test_samples, kTestSeed, options.threads);
  const LossSum loss = evaluate(network.graph, network.weights, test, options.threads);
  const std::string weights = write_safetensors(network.weights);
  ZooReport report;
  report.accuracy = double(loss.correct) / double(test.count());
  report.loss_nats = loss.nats / double(test.count());
  report.weights_sha256 = sha256_hex(weights);
  write_file_atomically(folder / "weights.safetensors", weights);
  write_file_atomically(folder / "model.json", model_json(model, network, report, samples, options.test_samples));
  return report;
}

}  // namespace qb
