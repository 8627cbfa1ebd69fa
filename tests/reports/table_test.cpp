#include "reports/table.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/base/text.h"
#include "tests/reports/small_record.h"

namespace qb {
namespace {

/// The small record with a reason that fits one line.
RunRecord short_record() {
  RunRecord run = small_record();
  run.measurements[2].reason = "the kernel, \"fast\", is wrong | by 0.5";
  return run;
}

TEST_CASE("the terminal's table is this text") {
  CHECK(terminal_table(short_record(), 160) == R"(tiny study, run r-2026: 5 units: 3 ok (1 noisy), 1 failed, 1 pending
The same in every row: model tiny, hardware best, kernel best, threads 1, machine bc020a35
Left out for lack of width: top-5, cosine, KL nats

  quantizer                accuracy   to float        flips  SQNR dB  kernel error         latency            speed-up  bits/weight     model      peak  status
batch 1
  float      75.00 % [30.06, 95.44]   +0.00 pp            0    equal             0  1.00 us ±3.5 %                  1x        32.00  32.2 KiB  2.00 MiB  ok
  rtn:w4     50.00 % [15.00, 85.00]  -25.00 pp  1 (p=1.000)     31.2       2.0e-08   500 ns ±3.5 %  2.00x [1.86, 2.15]         4.50  4.75 KiB  2.00 MiB  ok
batch 8
  float      failed: the kernel, "fast", is wrong | by 0.5
  rtn:w4     50.00 % [15.00, 85.00]  -25.00 pp  1 (p=1.000)     31.2       2.0e-08  4.00 us ±3.5 %                   -         4.50  4.75 KiB  2.00 MiB  noisy
  rtn:w2     pending: interrupted
noisy: timed on a machine that was not quiet; the reasons stand in /noise of the run file
)");
}

TEST_CASE("a narrow terminal leaves columns out and says which") {
  const std::string text = terminal_table(short_record(), 80);
  CHECK(
      text.find(
          "Left out for lack of width: top-5, cosine, KL nats, flips, peak, kernel error,\n  SQNR dB, model, bits/weight, to float\n") !=
      std::string::npos);
  for (const std::string_view line : split(text, '\n')) {
    INFO(line);
    CHECK(std::count_if(line.begin(), line.end(),
                        [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }) <= 80);
  }
}

TEST_CASE("Markdown escapes bars, says why, and explains every column") {
  const std::string text = markdown_table(short_record());
  CHECK(
      text.find(
          "\n**batch 8**\n\n| quantizer | accuracy | to float | latency | speed-up | bits/weight | model | peak | status |\n"
          "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n"
          "| float | - | - | - | - | - | - | - | failed: the kernel, \"fast\", is wrong \\| by 0.5 |\n") !=
      std::string::npos);
  CHECK(
      text.find(
          "| rtn:w4 | 50.00 % [15.00, 85.00] | -25.00 pp | 500 ns ±3.5 % | 2.00x [1.86, 2.15] | 4.50 | 4.75 KiB | 2.00 MiB | ok |\n") !=
      std::string::npos);
  // Only units that were judged have outputs to compare.
  const std::string loss = text.substr(text.find("| top-5 |"));
  CHECK(loss.find("| rtn:w4 | 75.00 % | 1 (p=1.000) | 31.2 | 0.99900 | 0.13 | - | 2.0e-08 |\n") != std::string::npos);
  CHECK(loss.find("failed") == std::string::npos);
  CHECK(text.find("- tiny float avx2 reference batch 1 threads 1: excluded by the study\n") != std::string::npos);
  CHECK(text.find("- tiny rtn:w4 best best batch 8 threads 1: cpu time is 0.90 of wall time\n") != std::string::npos);
  CHECK(text.find("- machine bc020a35: A Processor, 2 processors") != std::string::npos);
  for (const std::string column : {"accuracy", "to float", "top-5", "flips", "SQNR dB", "cosine", "KL nats", "KL p99",
                                   "kernel error", "latency", "speed-up", "bits/weight", "model", "peak", "status"})
    CHECK_MESSAGE(text.find("\n- " + column + ": ") != std::string::npos, column);
}

TEST_CASE("CSV quotes as RFC 4180 and leaves missing numbers empty") {
  const std::string text = csv_table(short_record());
  CHECK(text.find(",failed,\"the kernel, \"\"fast\"\", is wrong | by 0.5\",") != std::string::npos);
  CHECK(text.find("nan") == std::string::npos);
  const std::vector<std::string_view> lines = split(text, '\n');
  CHECK(lines.size() == 7);  // header, five units, nothing after the last line's end
  CHECK(lines[0].ends_with(",prepare_s\r"));
  CHECK(split(lines[5], ',').size() == split(lines[0], ',').size());
}

TEST_CASE("JSON holds the same with nulls") {
  const nlohmann::json document = nlohmann::json::parse(json_table(short_record()));
  CHECK(document["rows"].size() == 5);
  CHECK(document["rows"][1]["accuracy"] == 0.5);
  CHECK(document["rows"][1]["top5"] == 0.75);
  CHECK(document["rows"][1]["float_top5"] == 1);
  CHECK(document["rows"][1]["flips"] == 1);
  CHECK(document["rows"][1]["flip_p"] == 1);
  CHECK(document["rows"][1]["output_cosine"] == 0.999);
  CHECK(document["rows"][1]["kl_mean_nats"].get<double>() == doctest::Approx(0.128));
  CHECK(document["rows"][1]["kl_p99_nats"].is_null());  // four samples bound no 99th percentile
  CHECK(document["rows"][1]["speedup"].get<double>() == doctest::Approx(2));
  CHECK(document["rows"][2]["accuracy"].is_null());
  CHECK(document["rows"][3]["speedup"].is_null());
  CHECK(document["machines"][0]["peak_bf16_ops_per_s"].is_null());
}

TEST_CASE("rows are derived from raw samples, and only against their own float row") {
  RunRecord run = short_record();
  const std::vector<SummaryRow> rows = summary_rows(run);
  REQUIRE(rows.size() == 5);
  CHECK(rows[0].combination.quantizer == "rtn:w4");  // plan order
  CHECK(rows[0].flips == 1);
  CHECK(rows[0].flip_p == 1);
  CHECK(rows[0].top5.value == 0.75);
  CHECK(rows[0].top5.low < 0.75);
  CHECK(rows[0].float_top5 == 1);
  CHECK(rows[0].kl_mean_nats == doctest::Approx(0.512 / 4));
  CHECK(rows[0].latency_ns.value == doctest::Approx(500));
  CHECK(rows[0].cold_latency_ns.value == doctest::Approx(1500));
  CHECK(rows[0].blocks == 8);
  CHECK(rows[0].speedup.low == doctest::Approx(965.0 / 517.5));
  CHECK(std::isnan(rows[2].latency_ns.value));
  CHECK(std::isnan(rows[3].speedup.value));
  run.measurements[1].machine_key = "elsewhere";
  CHECK(std::isnan(summary_rows(run)[0].speedup.value));
  run.measurements[0].task = "language";
  CHECK(summary_rows(run)[0].metric == "perplexity");
  CHECK(summary_rows(run)[0].accuracy.value == doctest::Approx(std::exp((0.2 + 2.25 + 0.1 + 0.5) / 4)));
}

TEST_CASE("answers that are the float model's own are called agreement, never accuracy") {
  RunRecord run = short_record();
  run.plan[0].unit.model.dataset.kind = "generated";
  CHECK(summary_rows(run)[0].metric == "agreement");
  CHECK(summary_rows(run)[1].metric == "top-1");
  CHECK(terminal_table(run, 400).find("agrees ") != std::string::npos);
  CHECK(markdown_table(run).find("the share of its answers that are kept") != std::string::npos);
}

TEST_CASE("empty runs give empty tables") {
  CHECK(terminal_table(RunRecord{}, 80).find("0 units") != std::string::npos);
  CHECK(split(csv_table(RunRecord{}), '\n').size() == 2);
  CHECK(nlohmann::json::parse(json_table(RunRecord{}))["rows"].empty());
  CHECK(markdown_table(RunRecord{}).find("0 units") != std::string::npos);
}

}  // namespace
}  // namespace qb
