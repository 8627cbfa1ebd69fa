#include "models/data/generated/sample_streams.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

#include "kernels/base/digest.h"
#include "kernels/base/error.h"
#include "kernels/base/text.h"

namespace qb {

SampleStreams::SampleStreams(const std::string& split, std::int64_t count, std::uint64_t seed) : seed_(seed) {
  static const std::vector<std::string> splits = {"train", "calibration", "test"};
  const auto found = std::find(splits.begin(), splits.end(), split);
  if (found == splits.end())
    throw InputError(fmt::format("generated data has no split '{}'{}", split, suggestion(split, splits)));
  if (count < 1 || count >= std::int64_t(1) << 32)
    throw InputError(fmt::format("generated data of {} samples was asked for; 1 to 2^32 - 1 are accepted", count));
  first_ = std::uint64_t(found - splits.begin() + 1) << 32;
}

std::string digest_of_samples(const Dataset& samples) {
  return Sha256().update(samples.inputs.bytes.span()).update(std::as_bytes(std::span(samples.targets))).hex();
}

}  // namespace qb
