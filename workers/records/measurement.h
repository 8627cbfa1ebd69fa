// What became of a unit: raw samples and facts. Statistics are computed from them in reports/, never here.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/json.h"

namespace qb {

enum class Outcome : std::uint8_t { ok, unsupported, failed, timed_out, mistrusted };
std::string_view name_of(Outcome outcome);
Outcome parse_outcome(std::string_view name, const std::string& where, Blame blame);

inline constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

/// Timed blocks in the order of measurement. Block i took time_ns[i] for iterations[i] runs of one batch.
struct SampleSet {
  std::vector<double> time_ns;
  std::vector<std::int64_t> iterations;
  std::int64_t warmup = 0;  ///< the first so many blocks are warm-up: kept, not used
  std::string stopped_by;   ///< "width", "samples" or "time"
};

/// Paired outcomes of the same samples under the float and the quantized model; columns of equal length.
struct ItemColumns {
  std::vector<std::int64_t> index;  ///< sample number in the dataset
  std::vector<std::int32_t> float_top1, top1, target;
  std::vector<std::uint8_t> float_hit5,
      hit5;  ///< 1 when the target is among the five classes with the highest scores, else 0
  std::vector<double> float_log_likelihood, log_likelihood;
  std::vector<double> kl;  ///< KL(float || quantized), nats
};

struct LayerMeasurement {
  std::string node, op, shape;  ///< shape "[n, k]"
  std::string kernel, format;
  double bits_per_weight = kMissing;
  double weight_sqnr_db = kMissing, output_sqnr_db = kMissing;  ///< against float; +inf is stored as 999
  double kernel_error = kMissing;                               ///< largest |optimized - reference| over sum |a||w|
  double kernel_bound = kMissing;                               ///< what rounding alone explains
  double time_share = kMissing;                                 ///< of one run, 0..1
  double quantize_s = kMissing;                                 ///< that the method took for it
  double quantize_bytes = kMissing;                             ///< that the method held at once, at most
  std::string skipped;                                          ///< why the layer stayed float
  std::string prepared;                                         ///< what the steps before quantizing did to it
};

/// The machine's quiet, or lack of it, around the timed section.
struct NoiseRecord {
  double cpu_over_wall = kMissing;
  std::int64_t involuntary_switches = -1;
  double wait_over_run = kMissing;                             ///< schedstat: waiting for a processor over running
  double pressure = kMissing;                                  ///< PSI some avg10 of cpu, percent
  double steal = kMissing;                                     ///< share of steal in /proc/stat over the section
  double spin_before_ns = kMissing, spin_after_ns = kMissing;  ///< median of a fixed calibration loop
  double load1 = kMissing;
  int repeats = 0;     ///< earlier timings of this launch that were discarded as noisy
  std::string marked;  ///< why it counts as noisy; empty when quiet
};

struct Measurement {
  std::string unit;  ///< WorkUnit::id
  std::string machine_key, worker;
  std::int64_t epoch = 0;  ///< of the lease it was measured under
  Outcome outcome = Outcome::failed;
  std::string reason;    ///< one sentence; empty only when ok
  bool passing = false;  ///< failed for a cause outside of the unit: a crash, memory, files; worth another start
  std::string started_utc;
  double wall_s = kMissing;

  std::string kernels;  ///< distinct kernel names in use, joined by " + "; a peer's with (its library)
  std::string dataset;  ///< name, split and sample count in words
  std::string task;     ///< name_of(Task)
  ItemColumns items;    ///< empty unless judged
  double output_sqnr_db = kMissing, output_cosine = kMissing;  ///< of the model's scores, all samples together

  double kernel_error = kMissing, kernel_bound = kMissing;  ///< worst layer, by error over bound
  bool repeatable = false;                                  ///< the same bits twice and at 1 and N threads

  SampleSet hot, cold;  ///< empty unless proven
  double load_s = kMissing, quantize_s = kMissing, prepare_s = kMissing;

  std::int64_t packed_bytes = -1, other_bytes = -1, prepared_bytes = -1, scratch_bytes = -1;
  /// Peak resident set of the run pass, and of an empty pass before the model was loaded. A pass is a forked copy: it
  /// counts the pages that it inherits or touches, so that only the difference is the model's.
  std::int64_t peak_bytes = -1, base_bytes = -1;
  double bits_per_weight = kMissing, bits_per_parameter = kMissing;

  std::vector<LayerMeasurement> layers;
  NoiseRecord noise;
};

/// The same attempt without its numbers: identity, times of the attempt, kernels, dataset and noise stay. Not for
/// Outcome::ok; the reason must not be empty and is made speakable().
Measurement without_numbers(const Measurement& from, Outcome outcome, std::string reason);

/// Text from anywhere (stderr, a peer) as one line of valid UTF-8 of at most 2000 bytes, without control characters.
std::string speakable(std::string_view text);

Json to_json(const Measurement& measurement);
/// Verifies sizes, ranges, and that an outcome other than ok carries a reason and no numbers.
Measurement measurement_from_json(const Json& value, const std::string& where, Blame blame);
/// A record as text, and a SHA-256 that leaves out who measured, under which lease and when: equal for the same record
/// sent again.
struct RecordText {
  std::string text, digest;
};
RecordText record_text(Json measurement);  ///< of the JSON of one measurement
std::string measurement_digest(const Measurement& measurement);

}  // namespace qb
