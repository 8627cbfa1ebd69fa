// The lists inside a measurement's JSON. Columns are plain arrays of equal length, so that 10,000 items stay compact.
#pragma once
#include <string>
#include <vector>

#include "workers/records/measurement.h"

namespace qb {

Json items_json(const ItemColumns& items);
Json samples_json(const SampleSet& samples);
Json layers_json(const std::vector<LayerMeasurement>& layers);
Json noise_json(const NoiseRecord& noise);

/// Columns of one length, at most 100,000 items; hits 0 or 1, log-likelihoods at most 0, KL at least -1e-6 (rounding).
ItemColumns read_items(const Json& value, const std::string& where, Blame blame);
/// Times above 0, iterations at least 1, no more warm-up blocks than blocks, a known word for the end.
SampleSet read_samples(const Json& value, const std::string& where, Blame blame);
std::vector<LayerMeasurement> read_layers(const Json& value, const std::string& where, Blame blame);
NoiseRecord read_noise(const Json& value, const std::string& where, Blame blame);

}  // namespace qb
