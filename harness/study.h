// A study: one JSON file that names models, quantizers and hardware, and says how much to measure.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "models/manifest.h"
#include "workers/records/unit.h"

namespace qb {

/// One entry of the hardware axis.
struct HardwareEntry {
  std::string name;
  std::string isa = "best";  ///< a name of isa_cap()
  std::string match;         ///< text that a worker's processor model or host name must contain; "" accepts all
};

/// One element of `exclude`: a combination is excluded when it agrees with every list that is not empty.
struct Exclusion {
  std::vector<std::string> models, quantizers, hardware, kernels;
  std::vector<std::int64_t> batch, threads;
  std::string reason;
};

/// Every axis holds at least one value and none twice; names are checked and specs are canonical.
struct Study {
  std::string path;  ///< as the user gave it
  std::string name;  ///< letters, digits, '-', '_' and '.', at most 64
  std::string text;  ///< the file, byte for byte
  std::vector<ModelManifest> models;
  std::vector<std::string> quantizers;
  std::vector<HardwareEntry> hardware;
  std::vector<std::string> kernels;
  std::vector<std::int64_t> threads, batch;
  MeasureOptions measure;
  UnitLimits limits;
  std::vector<Exclusion> exclude;
  std::uint64_t seed = 1;
  int workers = 2;  ///< local worker processes
};

/// Every message begins with the path and names the key. Throws InputError for anything a study may not say, an unknown
/// key, a value that stands twice on an axis, a missing file; DataError for a model or data file with bytes we refuse.
Study parse_study(std::string_view text, const std::string& path, const DataRoots& roots);
Study read_study(const std::filesystem::path& path, const DataRoots& roots);

}  // namespace qb
