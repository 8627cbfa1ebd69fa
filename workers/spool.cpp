#include "workers/spool.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kernels/base/error.h"
#include "kernels/base/files.h"

namespace qb {

namespace fs = std::filesystem;

Spool::Spool(fs::path folder) : folder_(std::move(folder)) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) throw InputError(fmt::format("spool folder '{}' cannot be made: {}", folder_.string(), error.message()));
}

fs::path Spool::file_of(const Measurement& result) const {
  return folder_ / fmt::format("{}-{}.json", result.unit, result.epoch);
}

void Spool::keep(const Measurement& result) { write_file_atomically(file_of(result), canonical_text(to_json(result))); }

std::vector<Measurement> Spool::waiting() const {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_))
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<Measurement> results;
  for (const fs::path& file : files) {
    try {
      const std::string where = file.string();
      results.push_back(measurement_from_json(parse_json(read_file(file), where, Blame::peer), where, Blame::peer));
    } catch (const DataError&) {
      std::error_code ignored;
      fs::rename(file, fs::path(file).replace_extension(".damaged"), ignored);
    }
  }
  return results;
}

void Spool::acknowledged(const Measurement& result) {
  std::error_code ignored;
  fs::remove(file_of(result), ignored);
}

}  // namespace qb
