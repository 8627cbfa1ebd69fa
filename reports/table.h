// The comparison table of one or more runs, before any format: cells with value, interval and words.
#pragma once
#include <string>
#include <vector>

#include "reports/record/run_record.h"

namespace qb {

/// A statistic of raw samples. Missing numbers are NaN.
struct Estimate {
  double value, low, high;
};

/// One measured unit as people compare it. Every number is derived from the record's raw samples here.
struct SummaryRow {
  Combination combination;
  std::string unit, machine_key, status, reason, kernels, metric, noise;
  Estimate accuracy;                ///< top-1 (Wilson 95 %) or perplexity (±1.96 standard errors)
  double float_accuracy;
  std::int64_t samples = 0, flips = 0;
  double top5, output_sqnr_db, cosine, kl_mean_nats;
  double kernel_error, kernel_bound;
  Estimate latency_ns, cold_latency_ns;  ///< median per batch and its distribution-free 95 % interval
  Estimate speedup;                 ///< over `float` of the same model, hardware, kernel, batch and threads; shown, never gated
  double bits_per_weight;
  std::int64_t model_bytes = -1, peak_bytes = -1;  ///< packed + other; growth of the resident set over its base
};
std::vector<SummaryRow> summary_rows(const RunRecord& run);

std::string markdown_table(const RunRecord& run);   ///< title, table, footnotes: what the columns mean, what is hidden
std::string csv_table(const RunRecord& run);        ///< one line per unit, RFC 4180, all columns with units in names
std::string json_table(const RunRecord& run);       ///< the same as JSON, missing numbers null
std::string terminal_table(const RunRecord& run, int width);  ///< aligned with blanks, for the end of a run

}  // namespace qb
