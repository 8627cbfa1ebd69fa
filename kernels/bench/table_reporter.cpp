#include "kernels/bench/table_reporter.h"

#include <fmt/format.h>

#include <ostream>

#include "kernels/base/text.h"
#include "kernels/bench/measure.h"

namespace qb {

namespace {

constexpr const char* kRow = "{:<24} {:<8} {:>6} {:>6} {:>6} {:>3} {:>9} {:>9} {:>9} {:>7}  {}\n";

double counter(const benchmark::BenchmarkReporter::Run& run, const char* name) {
  const auto found = run.counters.find(name);
  return found == run.counters.end() ? 0.0 : double(found->second);
}

/// "m:512" as "512".
std::string_view behind_colon(std::string_view part) { return part.substr(part.find(':') + 1); }

}  // namespace

bool TableReporter::ReportContext(const Context&) {
  GetOutputStream() << fmt::format(kRow, "kernel", "format", "m", "n", "k", "thr", "time", "GOP/s", "GB/s", "%peak",
                                   "weights, limit");
  return true;
}

void TableReporter::ReportRuns(const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    const std::string name = run.run_name.function_name;
    const std::vector<std::string_view> parts = split(name, '/');
    if (parts.size() < 6) continue;
    const auto row = [&](const std::string& time, const std::string& ops, const std::string& bytes,
                         const std::string& share, const std::string& note) {
      GetOutputStream() << fmt::format(kRow, parts[0], parts[1], behind_colon(parts[2]), behind_colon(parts[3]),
                                       behind_colon(parts[4]), behind_colon(parts[5]), time, ops, bytes, share, note);
    };
    if (run.error_occurred) {
      row("-", "-", "-", "-", run.error_message);
      continue;
    }
    const double ns = run.GetAdjustedRealTime() / benchmark::GetTimeUnitMultiplier(run.time_unit) * 1e9;
    row(duration_text(ns), fmt::format("{:.1f}", counter(run, kOpsRate) * 1e-9),
        fmt::format("{:.2f}", counter(run, kWeightRate) * 1e-9), fmt::format("{:.1f}", counter(run, kPeakShare)),
        run.report_label);
  }
  GetOutputStream() << std::flush;
}

}  // namespace qb
