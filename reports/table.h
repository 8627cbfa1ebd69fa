// The comparison table of one or more runs, before any format: cells with value, interval and words.
#pragma once
#include <string>
#include <vector>

#include "reports/record/run_record.h"
#include "reports/statistics.h"

namespace qb {

/// One unit of the plan as people compare it. Every number is derived from the record's raw samples; missing ones are
/// NaN or -1.
struct SummaryRow {
  Combination combination;
  std::string unit, machine_key, dataset;
  std::string status;  ///< name_of(Outcome), or "pending"; only "ok" rows carry numbers
  std::string reason;  ///< why not ok
  /// metric is "top-1", "agreement" (top-1 where the answers are the float model's own) or "perplexity", of which less
  /// is better; empty when not judged.
  std::string kernels, metric;
  std::string noise;                 ///< why the timing counts as noisy; empty when quiet
  std::string stopped_by;            ///< of the hot timing
  Estimate accuracy;                 ///< top-1 or agreement (Wilson 95 %) or perplexity (±1.96 standard errors)
  double float_accuracy = kMissing;  ///< of the float model on the same samples
  Estimate top5;                     ///< share of samples whose target is among the five best (Wilson 95 %)
  double float_top5 = kMissing;
  std::int64_t samples = -1, flips = -1;  ///< judged; of those with another top-1 than the float model
  double flip_p = kMissing;  ///< McNemar's exact p that right-to-wrong and wrong-to-right are equally likely
  double output_sqnr_db = kMissing, cosine = kMissing;
  double kl_mean_nats = kMissing;  ///< KL(float || quantized) per sample
  double kl_p99_nats = kMissing;   ///< bound of percentile 99 at confidence 0.99; NaN below 459 samples
  double kernel_error = kMissing, kernel_bound = kMissing;
  std::int64_t blocks = -1, cold_blocks = -1;  ///< timed, without warm-up
  Estimate latency_ns, cold_latency_ns;        ///< median per batch and its distribution-free 95 % interval
  double p90_latency_ns = kMissing;            ///< bound of percentile 90 at confidence 0.99; NaN below 44 blocks
  Estimate
      speedup;  ///< over `float` of the same model, hardware, kernel, batch, threads and machine; shown, never gated
  double bits_per_weight = kMissing;
  std::int64_t model_bytes = -1, peak_bytes = -1;  ///< packed + other; growth of the resident set over its base
  double load_s = kMissing, quantize_s = kMissing, prepare_s = kMissing;
};
std::vector<SummaryRow> summary_rows(const RunRecord& run);  ///< one per row of the plan, in plan order

std::string markdown_table(const RunRecord& run);  ///< title, table, footnotes: what the columns mean, what is hidden
std::string csv_table(const RunRecord& run);       ///< one line per unit, RFC 4180, all columns with units in names
std::string json_table(const RunRecord& run);      ///< the same as JSON, missing numbers null
std::string terminal_table(const RunRecord& run, int width);  ///< aligned with blanks, for the end of a run

}  // namespace qb
