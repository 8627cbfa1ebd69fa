#include "models/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>

#include "kernels/base/digest.h"
#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "kernels/base/json.h"
#include "kernels/base/random.h"
#include "models/data/dataset_options.h"
#include "models/data/generated/generated.h"
#include "models/data/samples.h"
#include "models/executor.h"
#include "models/manifest.h"

namespace qb {

namespace {

/// Random streams that only this file draws from.
constexpr std::uint64_t kHoldOutStream = 0x686f6c64, kCalibrationStream = 0x63616c69;

std::string text_of(const FileRef& file, const FileSource& source) { return read_file(source(file)); }

/// Files [begin, end) of the manifest as one set of samples.
RawSamples read_files(const DatasetManifest& data, std::size_t begin, std::size_t end, const FileSource& source) {
  const std::vector<FileRef>& files = data.files;
  if (data.kind == "csv") return read_csv_samples(text_of(files[0], source), files[0].path);
  if (data.kind == "cifar") {
    std::vector<RawSamples> parts;
    for (std::size_t i = begin; i < end; ++i)
      parts.push_back(read_cifar_samples(text_of(files[i], source), files[i].path));
    return joined(std::move(parts), files[begin].path);
  }
  const std::string inputs = text_of(files[begin], source), labels = text_of(files[begin + 1], source);
  const std::string& inputs_path = files[begin].path;
  const std::string& labels_path = files[begin + 1].path;
  if (data.kind == "idx") return read_idx_samples(inputs, inputs_path, labels, labels_path);
  if (data.kind == "npy") return read_npy_samples(inputs, inputs_path, labels, labels_path);
  if (data.kind == "bytes")
    return read_byte_samples(inputs, inputs_path, sample_options(data.kind, data.options).shape, labels, labels_path);
  throw DataError(fmt::format("a dataset of kind '{}' cannot be read", data.kind));
}

/// How many files hold the judged split; the others hold training data.
std::size_t judged_files(const DatasetManifest& data) {
  if (data.kind == "cifar") return data.split == "train" ? data.files.size() : 1;
  return data.kind == "idx" || data.kind == "npy" || data.kind == "bytes" ? 2 : 1;
}

/// Calls `use` with a pointer to the elements, in their own type; 16-bit floats must be widened before.
template <class F>
void with_elements(const Tensor& tensor, F&& use) {
  switch (tensor.dtype) {
    case DType::u8:
    case DType::boolean: use(tensor.bytes.as<std::uint8_t>()); break;
    case DType::i8: use(tensor.bytes.as<std::int8_t>()); break;
    case DType::i16: use(tensor.bytes.as<std::int16_t>()); break;
    case DType::u16: use(tensor.bytes.as<std::uint16_t>()); break;
    case DType::i32: use(tensor.bytes.as<std::int32_t>()); break;
    case DType::u32: use(tensor.bytes.as<std::uint32_t>()); break;
    case DType::i64: use(tensor.bytes.as<std::int64_t>()); break;
    case DType::u64: use(tensor.bytes.as<std::uint64_t>()); break;
    case DType::f64: use(tensor.bytes.as<double>()); break;
    default: use(tensor.bytes.as<float>()); break;
  }
}

/// Rows `chosen` of the raw samples as float32 inputs: ((v - zero) * scale - mean[c]) / deviation[c], rounded once.
Tensor scaled_inputs(const Tensor& raw, const std::vector<std::size_t>& chosen, const SampleOptions& options,
                     const std::string& name) {
  Shape shape = options.shape.empty() ? Shape(raw.shape.begin() + 1, raw.shape.end()) : options.shape;
  const std::int64_t each = raw.size() / raw.shape[0];
  if (element_count(shape, name) != each)
    throw DataError(
        fmt::format("dataset '{}': samples of {} values do not have the shape {}", name, each, to_text(shape)));
  const std::int64_t channels = shape.empty() ? 1 : shape[0], per_channel = each / channels;
  for (const std::vector<double>* list : {&options.mean, &options.deviation})
    if (list->size() != 1 && std::ssize(*list) != channels)
      throw DataError(fmt::format("dataset '{}': mean or deviation has {} values; accepted are 1 and {}", name,
                                  list->size(), channels));
  shape.insert(shape.begin(), std::ssize(chosen));
  const Tensor wide = raw.dtype == DType::f16 || raw.dtype == DType::bf16 ? to_f32(raw) : Tensor(DType::u8, {0});
  Tensor inputs(DType::f32, std::move(shape));
  float* out = inputs.bytes.as<float>();
  with_elements(wide.size() > 0 ? wide : raw, [&](const auto* values) {
    for (const std::size_t row : chosen) {
      for (std::int64_t i = 0; i < each; ++i) {
        const auto c = std::size_t(i / per_channel);
        const double mean = options.mean[options.mean.size() == 1 ? 0 : c];
        const double deviation = options.deviation[options.deviation.size() == 1 ? 0 : c];
        const double value = double(values[std::int64_t(row) * each + i]);
        *out++ = float(((value - options.zero) * options.scale - mean) / deviation);
      }
    }
  });
  return inputs;
}

/// The samples that calibration holds out of a judged split: the same for every seed, so that the rest is, too.
std::vector<std::size_t> held_out(std::size_t count, std::int64_t wanted, const std::string& name) {
  if (std::uint64_t(wanted) >= count)
    throw DataError(fmt::format("dataset '{}': cannot hold {} of {} samples out for calibration", name, wanted, count));
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t(0));
  Random random(0, kHoldOutStream);
  shuffle(std::span(order), random);
  order.resize(std::size_t(wanted));
  return order;
}

struct Choice {
  std::vector<std::size_t> rows;
  std::string name;
};

/// The rows of `split`, all of them and in their order.
Choice choose(const DatasetManifest& data, const SampleOptions& options, bool training_data, std::string_view split,
              std::size_t count, std::uint64_t seed) {
  Choice choice{std::vector<std::size_t>(count), data.name};
  std::iota(choice.rows.begin(), choice.rows.end(), std::size_t(0));
  if (training_data) {
    choice.name += " (training data)";
    if (split == "calibration") {
      Random random(seed, kCalibrationStream);
      shuffle(std::span(choice.rows), random);
    }
    return choice;
  }
  const std::vector<std::size_t> out = held_out(count, options.calibration, data.name);
  if (split == "calibration") {
    choice.rows = out;
    choice.name += out.empty() ? " (no training data and none held out: give \"calibration\" in the dataset)"
                               : " (held out of the judged split)";
    return choice;
  }
  std::vector<bool> keep(count, true);
  for (const std::size_t row : out) keep[row] = false;
  std::erase_if(choice.rows, [&](std::size_t row) { return !keep[row]; });
  return choice;
}

std::string digest_of(const ModelManifest& manifest, const Dataset& dataset, std::uint64_t seed) {
  return sha256_hex(canonical_text(
      {{"data", data_digest(manifest)}, {"split", dataset.split}, {"count", dataset.count()}, {"seed", seed}}));
}

/// Makes the answers those that the float model itself gives: the first of its largest scores.
void answer(const Model& model, Dataset& data) {
  constexpr std::int64_t kBatch = 32;
  const std::int64_t count = data.inputs.shape[0], fixed = model.graph.inputs[0].shape[0],
                     batch = fixed > 0 ? fixed : std::min(count, kBatch);
  data.targets.assign(std::size_t(count), 0);
  Executor executor(model, {.batch = batch});
  for (std::int64_t at = 0; at < count; at += batch) {
    const Tensor& scores = executor.run(batch_of(data, at, batch));
    if (scores.rank() != 2 || scores.shape[0] != batch || scores.shape[1] < 1)
      throw DataError(fmt::format(
          "model '{}' gives results of shape {} for {} samples; generated samples need a row of scores each",
          model.name, to_text(scores.shape), batch));
    data.classes = std::int32_t(scores.shape[1]);
    for (std::int64_t i = 0; i < std::min(batch, count - at); ++i) {
      const auto row = scores.as<float>().subspan(std::size_t(i * scores.shape[1]), std::size_t(scores.shape[1]));
      data.targets[std::size_t(at + i)] = std::int32_t(std::ranges::max_element(row) - row.begin());
    }
  }
}

/// Pictures in the shape of the model's input.
Dataset load_pictures(const ModelManifest& manifest, const std::string& split, std::int64_t count, std::uint64_t seed,
                      const Model& model) {
  const DatasetManifest& data = manifest.dataset;
  const Json json = parse_json(data.options, "dataset options", Blame::peer);
  GeneratedOptions options = generated_options(json, data.name, Blame::peer);
  const Shape& input = model.graph.inputs.at(0).shape;
  if (input.empty()) throw DataError(fmt::format("model '{}' has an input without axes", model.name));
  options.samples.shape = Shape(input.begin() + 1, input.end());
  Dataset dataset;
  dataset.name = data.name;
  dataset.split = split;
  const Tensor raw = pictures(options.pictures, options.samples.shape, split, count, seed);
  std::vector<std::size_t> rows(std::size_t(count), 0);
  std::iota(rows.begin(), rows.end(), std::size_t(0));
  dataset.inputs = scaled_inputs(raw, rows, options.samples, data.name);
  answer(model, dataset);
  dataset.digest = digest_of(manifest, dataset, seed);
  return dataset;
}

Dataset load_generated(const ModelManifest& manifest, const std::string& split, std::int64_t limit, std::uint64_t seed,
                       const FileSource& source, const Model* loaded) {
  const DatasetManifest& data = manifest.dataset;
  const std::int64_t count = limit > 0 ? limit : kGeneratedSplitSamples;
  if (data.kind == "generated")
    return load_pictures(manifest, split, count, seed, loaded ? *loaded : load_model(manifest, source));
  const Json options = parse_json(data.options, "dataset options", Blame::peer);
  return data.kind == "glyphs" ? glyphs(glyphs_options(options, data.name, Blame::peer), split, count, seed)
                               : grammar(grammar_options(options, data.name, Blame::peer), split, count, seed);
}

Dataset load_files(const ModelManifest& manifest, const std::string& split, std::int64_t limit, std::uint64_t seed,
                   const FileSource& source) {
  const DatasetManifest& data = manifest.dataset;
  SampleOptions options = sample_options(data.kind, data.options);
  const std::size_t judged = judged_files(data);
  const bool has_training_data = data.files.size() > judged;
  if (has_training_data) options.calibration = 0;
  const bool training_data = split != "test" && has_training_data;
  if (split == "train" && !has_training_data && data.split != "train")
    throw DataError(fmt::format("dataset '{}' has no training data", data.name));
  const RawSamples raw =
      training_data ? read_files(data, judged, data.files.size(), source) : read_files(data, 0, judged, source);
  Choice choice = choose(data, options, training_data, split, raw.targets.size(), seed);
  if (limit > 0 && std::size_t(limit) < choice.rows.size()) choice.rows.resize(std::size_t(limit));

  Dataset dataset;
  dataset.name = std::move(choice.name);
  dataset.split = split;
  dataset.inputs = scaled_inputs(raw.values, choice.rows, options, data.name);
  for (const std::size_t row : choice.rows) dataset.targets.push_back(raw.targets[row]);
  dataset.classes = std::max(raw.classes, std::int32_t(options.classes));
  if (options.classes > 0 && raw.classes > options.classes)
    throw DataError(
        fmt::format("dataset '{}': label {} in a set of {} classes", data.name, raw.classes - 1, options.classes));
  dataset.digest = digest_of(manifest, dataset, split == "calibration" ? seed : 0);
  return dataset;
}

}  // namespace

Tensor batch_of(const Dataset& dataset, std::int64_t begin, std::int64_t rows) {
  QB_EXPECTS(dataset.count() > 0 && begin >= 0 && rows >= 1 && dataset.inputs.dtype == DType::f32);
  Shape shape = dataset.inputs.shape;
  const std::int64_t count = shape.at(0);
  shape[0] = rows;
  Tensor batch(DType::f32, std::move(shape));
  const std::size_t row_bytes = dataset.inputs.bytes.size() / std::size_t(count);
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t from = std::min(begin + i, count - 1);
    std::memcpy(batch.bytes.data() + std::size_t(i) * row_bytes,
                dataset.inputs.bytes.data() + std::size_t(from) * row_bytes, row_bytes);
  }
  return batch;
}

Dataset load_dataset(const ModelManifest& manifest, const std::string& split, std::int64_t limit, std::uint64_t seed,
                     const FileSource& source, const Model* loaded) {
  if (split != "test" && split != "train" && split != "calibration")
    throw InputError(fmt::format("'{}' is not a split; accepted are test, train and calibration", split));
  QB_EXPECTS(limit >= 0);
  const bool generated = manifest.dataset.files.empty();
  return generated ? load_generated(manifest, split, limit, seed, source, loaded)
                   : load_files(manifest, split, limit, seed, source);
}

}  // namespace qb
