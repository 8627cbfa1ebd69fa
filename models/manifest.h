// What a study says of a model, with every file named by its digest: enough for a worker anywhere to load the same
// bytes.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/base/json.h"
#include "models/dataset.h"
#include "models/graph.h"

namespace qb {

struct FileRef {
  std::string path;  ///< as looked up in the data roots, with '/' separators; never absolute, never with ".."
  std::string sha256;
  std::uint64_t bytes = 0;
  bool operator==(const FileRef&) const = default;
};

/// Where the samples come from.
///
/// kind "idx": files {images, labels} and, where a folder has them, {train images, train labels}; "csv": one file, last
/// column is the class; "bytes": one file of fixed-size int8 records and a label list; "npy": files {inputs, labels};
/// "cifar": binary batches, the judged one first; "glyphs" and "grammar": generated, no files; "generated":
/// likewise, in the shape of the model's input and with the float model's own answers.
/// Every sample value v enters the model as ((v - zero) * scale - mean[c]) / deviation[c], c counting the second
/// extent.
struct DatasetManifest {
  std::string kind;
  std::string name;
  std::string split = "test";  ///< what load_dataset(.., "test", ..) gives: "test" or "train"
  std::vector<FileRef> files;
  std::string options;  ///< canonical JSON object of everything else that the kind needs; "{}" when nothing
};

struct ModelManifest {
  std::string name;
  std::string format;          ///< "onnx", "safetensors", or "llama": random weights, no files
  std::vector<FileRef> files;  ///< onnx: {model}; safetensors: {weights, graph JSON}
  std::string options = "{}";  ///< canonical JSON of what a model without files is made of
  Task task = Task::classification;
  std::string rounding = "reference";  ///< of QLinear nodes: a name of CodeRounding (integer_result.h)
  DatasetManifest dataset;
};

/// Folders in which relative paths are looked up, first match wins.
struct DataRoots {
  std::vector<std::filesystem::path> folders;
  /// Throws InputError listing the folders searched, and the nearest name among their entries.
  std::filesystem::path find(const std::string& path) const;
};

/// Reads one element of a study's "models": a name from the zoo, or an object
/// { "name", "onnx" | "safetensors" (+ "graph") | "llama" (sizes: llama.h), "dataset": { "idx" | "csv" | "bytes" |
/// "npy" | "glyphs" | "grammar" | "generated":
/// ..., ... } }, also "task" and "rounding" (of the results of QLinear nodes). In "dataset", beside the kind: "name",
/// "split", "scale", "mean", "deviation", "shape" (of one sample), "classes", "calibration" (how many samples of a set
/// without training data are held out for calibration; default 0), and for "bytes" also "zero"; "bytes" and "npy" need
/// "labels". A "graph" is looked up as given and in the folder "models" of each root; zoo models lie in the folder
/// "zoo" of a root. Digests every file, loads all of them once, and compares the samples' shape with the model's input.
/// Throws InputError (unknown key, unknown name, missing file, shapes that differ), DataError (unreadable bytes).
ModelManifest read_model_entry(const Json& entry, const std::string& where, const DataRoots& roots);
std::vector<std::string> zoo_model_names(const DataRoots& roots);  ///< folders of <root>/zoo that hold a model.json

Json to_json(const ModelManifest& manifest);
ModelManifest manifest_from_json(const Json& value, const std::string& where, Blame blame);
/// The optional key "rounding" of an entry or a manifest. Fails with the nearest name for one that is not known.
std::string read_rounding(Fields& fields);
std::string model_digest(const ModelManifest& manifest);  ///< over format, task, rounding and digests of its files
std::string data_digest(const ModelManifest& manifest);   ///< over the dataset's kind, options and digests of its files

/// Gives a local path whose content has the digest of the reference (already verified).
using FileSource = std::function<std::filesystem::path(const FileRef&)>;

/// Imports, checks, and folds batch normalization. Throws DataError naming file and fault.
Model load_model(const ModelManifest& manifest, const FileSource& source);

/// The first `limit` samples of a split (0: all). "calibration" is drawn, by `seed`, from training data where the set
/// has any, otherwise from the samples that the option "calibration" holds out of the test split, which then lacks
/// them; with neither it is empty. Dataset::name says which. `loaded`: the manifest's model, where it is at hand.
/// Throws InputError for an unknown split, DataError for a bad file.
Dataset load_dataset(const ModelManifest& manifest, const std::string& split, std::int64_t limit, std::uint64_t seed,
                     const FileSource& source, const Model* loaded = nullptr);

}  // namespace qb
