// The options of a dataset: how raw values become inputs.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/json.h"
#include "kernels/base/tensor.h"
#include "models/data/generated/generated.h"

namespace qb {

struct SampleOptions {
  double scale = 1, zero = 0;                 ///< scale != 0; zero is for kind "bytes" only
  std::vector<double> mean{0}, deviation{1};  ///< one value, or one per index of the second extent; deviation != 0
  Shape shape;                                ///< of one sample; empty: as the file has it
  std::int64_t classes = 0;                   ///< 0: the largest label + 1
  std::int64_t calibration = 0;               ///< samples held out of a set that has no training data
};

/// Takes the options' keys from `fields` and leaves all others. Refuses what no dataset of that kind can have.
SampleOptions read_sample_options(Fields& fields, const std::string& kind);
std::string to_text(const SampleOptions& options);  ///< canonical JSON with every option written out

/// The options of kind "generated": how pictures are drawn, and how their values become inputs.
struct GeneratedOptions {
  PicturesOptions pictures;
  SampleOptions samples;  ///< scale, mean and deviation only
};
GeneratedOptions generated_options(const Json& options, const std::string& where, Blame blame);

/// The canonical text of the options of any kind of dataset. Unknown keys and values out of range are errors.
std::string checked_options(const std::string& kind, const Json& options, const std::string& where, Blame blame);

/// Reads the canonical text of a kind of dataset that lies in files. Throws DataError.
SampleOptions sample_options(const std::string& kind, const std::string& text);

}  // namespace qb
