// One readable line per benchmark, for people.
#pragma once
#include <benchmark/benchmark.h>

namespace qb {

/// Prints kernel, format, shape, threads, time, rates and the share of the measured limit; errors in words.
class TableReporter : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& context) override;
  void ReportRuns(const std::vector<Run>& runs) override;
};

}  // namespace qb
