// Results that the coordinator has not acknowledged, kept on disk so that no crash loses them.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "workers/records/measurement.h"

namespace qb {

/// A folder with one file per result, named by unit and epoch. Files appear whole or not at all.
class Spool {
 public:
  explicit Spool(std::filesystem::path folder);  ///< made when absent; throws InputError when that fails

  void keep(const Measurement& result);  ///< throws InputError when the disk refuses
  /// All results kept, oldest name first. A file that is no record is set aside as `*.damaged` and skipped.
  std::vector<Measurement> waiting() const;
  void acknowledged(const Measurement& result);

 private:
  std::filesystem::path file_of(const Measurement& result) const;
  std::filesystem::path folder_;
};

}  // namespace qb
