// One stream of random words per sample.
#pragma once
#include <cstdint>
#include <string>

#include "kernels/base/random.h"
#include "models/dataset.h"

namespace qb {

/// Streams of one split: no stream of one split is a stream of another. Throws InputError for an unknown split, naming
/// the nearest, and for a count outside [1, 2^32).
class SampleStreams {
 public:
  SampleStreams(const std::string& split, std::int64_t count, std::uint64_t seed);
  Random of_sample(std::int64_t index) const { return Random(seed_, first_ + std::uint64_t(index)); }

 private:
  std::uint64_t seed_, first_;
};

/// SHA-256 over the bytes of inputs and targets.
std::string digest_of_samples(const Dataset& samples);

}  // namespace qb
