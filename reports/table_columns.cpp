#include "reports/table_columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "kernels/base/text.h"

namespace qb {

namespace {

constexpr std::string_view kNothing = "-";

std::string number(double value, int digits) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, digits) : std::string(kNothing);
}

/// Two significant digits, for what spans magnitudes.
std::string small_number(double value) {
  if (!std::isfinite(value)) return std::string(kNothing);
  return value == 0 ? "0" : fmt::format("{:.2g}", value);
}

std::string percent_text(double share) {
  return std::isfinite(share) ? fmt::format("{:.2f} %", 100 * share) : std::string(kNothing);
}

std::string accuracy_text(const SummaryRow& row) {
  const Estimate& a = row.accuracy;
  if (!std::isfinite(a.value)) return std::string(kNothing);
  if (row.metric == "perplexity")
    return std::isfinite(a.low) ? fmt::format("ppl {:.3f} [{:.3f}, {:.3f}]", a.value, a.low, a.high)
                                : fmt::format("ppl {:.3f}", a.value);
  return fmt::format("{}{:.2f} % [{:.2f}, {:.2f}]", row.metric == "agreement" ? "agrees " : "", 100 * a.value,
                     100 * a.low, 100 * a.high);
}

std::string change_text(const SummaryRow& row) {
  const double change = row.accuracy.value - row.float_accuracy;
  if (!std::isfinite(change)) return std::string(kNothing);
  return row.metric == "perplexity" ? fmt::format("{:+.3f}", change) : fmt::format("{:+.2f} pp", 100 * change + 0.0);
}

std::string flips_text(const SummaryRow& row) {
  if (row.flips < 0) return std::string(kNothing);
  if (row.flips == 0) return "0";
  return row.flip_p < 0.001 ? fmt::format("{} (p<0.001)", row.flips)
                            : fmt::format("{} (p={:.3f})", row.flips, row.flip_p);
}

/// The record stores an infinite ratio (equal outputs) as 999.
std::string sqnr_text(const SummaryRow& row) {
  return row.output_sqnr_db >= 999 ? "equal" : number(row.output_sqnr_db, 1);
}

std::string kernel_error_text(const SummaryRow& row) {
  if (!std::isfinite(row.kernel_error)) return std::string(kNothing);
  return row.kernel_error == 0 ? "0" : fmt::format("{:.1e}", row.kernel_error);
}

std::string latency_text(const SummaryRow& row) {
  const Estimate& t = row.latency_ns;
  if (!std::isfinite(t.value)) return std::string(kNothing);
  if (!std::isfinite(t.low)) return fmt::format("{} (few)", duration_text(t.value));
  return fmt::format("{} ±{:.1f} %", duration_text(t.value),
                     100 * std::max(t.high - t.value, t.value - t.low) / t.value);
}

std::string speedup_text(const SummaryRow& row) {
  const Estimate& s = row.speedup;
  if (!std::isfinite(s.value)) return std::string(kNothing);
  if (row.combination.quantizer == "float") return "1x";
  return std::isfinite(s.low) ? fmt::format("{:.2f}x [{:.2f}, {:.2f}]", s.value, s.low, s.high)
                              : fmt::format("{:.2f}x (few)", s.value);
}

std::string size_text(std::int64_t bytes) { return bytes < 0 ? std::string(kNothing) : bytes_text(double(bytes)); }

std::string status_text(const SummaryRow& row) {
  return row.status == "ok" && !row.noise.empty() ? "noisy" : row.status;
}

/// "rtn:w4a8" → 4; 32 where the text names no width.
int weight_bits(std::string_view quantizer) {
  const std::size_t colon = quantizer.find(":w");
  if (colon == std::string_view::npos) return 32;
  std::size_t end = colon + 2;
  while (end < quantizer.size() && quantizer[end] >= '0' && quantizer[end] <= '9') ++end;
  return int(parse_int(quantizer.substr(colon + 2, std::min<std::size_t>(end - colon - 2, 4))).value_or(32));
}

}  // namespace

std::span<const Axis> axes() {
  using Row = SummaryRow;
  static constexpr Axis table[] = {
      {"model", true, [](const Row& r) { return one_line(r.combination.model); }},
      {"hardware", true, [](const Row& r) { return one_line(r.combination.hardware); }},
      {"batch", true, [](const Row& r) { return fmt::format("{}", r.combination.batch); }},
      {"quantizer", false, [](const Row& r) { return one_line(r.combination.quantizer); }},
      {"kernel", false, [](const Row& r) { return one_line(r.combination.kernel); }},
      {"threads", false, [](const Row& r) { return fmt::format("{}", r.combination.threads); }},
      {"machine", false,
       [](const Row& r) { return r.machine_key.empty() ? "-" : one_line(r.machine_key.substr(0, 8)); }},
  };
  return table;
}

/// A unit that no machine measured does not make the machine vary.
bool varies(const Axis& axis, std::span<const SummaryRow> rows) {
  std::string first;
  for (const SummaryRow& row : rows) {
    const std::string text = axis.text(row);
    if (text == kNothing) continue;
    if (first.empty()) first = text;
    if (text != first) return true;
  }
  return false;
}

std::string constant_axes(std::span<const SummaryRow> rows) {
  std::vector<std::string> parts;
  for (const Axis& axis : axes()) {
    if (varies(axis, rows)) continue;
    const auto named =
        std::find_if(rows.begin(), rows.end(), [&](const SummaryRow& row) { return axis.text(row) != kNothing; });
    if (named != rows.end()) parts.push_back(fmt::format("{} {}", axis.name, axis.text(*named)));
  }
  return join(parts, ", ");
}

std::span<const ShownColumn> shown_columns() {
  using Row = SummaryRow;
  static constexpr ShownColumn table[] = {
      {Part::bargain, "accuracy",
       "top-1 with Wilson's 95 % interval, or perplexity (ppl) ± 1.96 standard errors; 'agrees': samples are generated and have no answers but the float model's own, so that this is the share of its answers that are kept",
       1, accuracy_text},
      {Part::bargain, "to float",
       "accuracy minus that of the float model on the same samples, in percentage points (pp) or perplexity", 4,
       change_text},
      {Part::loss, "top-5", "share of samples whose target is among the five classes with the highest scores", 14,
       [](const Row& r) { return percent_text(r.top5.value); }},
      {Part::loss, "flips",
       "samples with another first answer than the float model's; p: McNemar's exact two-sided probability that losses and gains of right answers are equally likely",
       10, flips_text},
      {Part::loss, "SQNR dB", "signal to quantization noise of the model's outputs against the float model", 7,
       sqnr_text},
      {Part::loss, "cosine", "of the angle between the model's outputs and the float model's, all samples together", 12,
       [](const Row& r) { return number(r.cosine, 5); }},
      {Part::loss, "KL nats",
       "mean over the samples of the Kullback-Leibler divergence of the answer's distribution from the float model's",
       11, [](const Row& r) { return small_number(r.kl_mean_nats); }},
      {Part::loss, "KL p99",
       "bound that 99 % of the samples' divergences do not exceed, at confidence 0.99, in nats; from 459 samples on",
       13, [](const Row& r) { return small_number(r.kl_p99_nats); }},
      {Part::loss, "kernel error", "largest difference between optimized and reference kernel, over sum |a||w|", 8,
       kernel_error_text},
      {Part::bargain, "latency",
       "median time of one batch with warm buffers; ± the farther end of its distribution-free 95 % interval; (few): too few blocks for one",
       1, latency_text},
      {Part::bargain, "speed-up",
       "median latency of float over this row's, same model, hardware, kernel, batch, threads and machine, with a 95 % interval within one launch; shown, never a verdict",
       3, speedup_text},
      {Part::bargain, "bits/weight", "of quantized weights with scales, offsets and codebooks counted", 5,
       [](const Row& r) { return number(r.bits_per_weight, 2); }},
      {Part::bargain, "model", "bytes of all weights as packed, unquantized ones included", 6,
       [](const Row& r) { return size_text(r.model_bytes); }},
      {Part::bargain, "peak", "growth of the resident memory from before loading to the peak of a run", 9,
       [](const Row& r) { return size_text(r.peak_bytes); }},
      {Part::bargain, "status", "ok, noisy (timed on a machine that was not quiet), or why there are no numbers", 0,
       status_text},
  };
  return table;
}

std::span<const ExactColumn> exact_columns() {
  using Row = SummaryRow;
  static constexpr ExactColumn table[] = {
      {"unit", [](const Row& r) -> ExactValue { return r.unit; }},
      {"model", [](const Row& r) -> ExactValue { return r.combination.model; }},
      {"quantizer", [](const Row& r) -> ExactValue { return r.combination.quantizer; }},
      {"hardware", [](const Row& r) -> ExactValue { return r.combination.hardware; }},
      {"kernel", [](const Row& r) -> ExactValue { return r.combination.kernel; }},
      {"batch", [](const Row& r) -> ExactValue { return r.combination.batch; }},
      {"threads", [](const Row& r) -> ExactValue { return std::int64_t(r.combination.threads); }},
      {"machine_key", [](const Row& r) -> ExactValue { return r.machine_key; }},
      {"status", [](const Row& r) -> ExactValue { return r.status; }},
      {"reason", [](const Row& r) -> ExactValue { return r.reason; }},
      {"noise", [](const Row& r) -> ExactValue { return r.noise; }},
      {"kernels", [](const Row& r) -> ExactValue { return r.kernels; }},
      {"dataset", [](const Row& r) -> ExactValue { return r.dataset; }},
      {"metric", [](const Row& r) -> ExactValue { return r.metric; }},
      {"samples", [](const Row& r) -> ExactValue { return r.samples; }},
      {"accuracy", [](const Row& r) -> ExactValue { return r.accuracy.value; }},
      {"accuracy_low", [](const Row& r) -> ExactValue { return r.accuracy.low; }},
      {"accuracy_high", [](const Row& r) -> ExactValue { return r.accuracy.high; }},
      {"float_accuracy", [](const Row& r) -> ExactValue { return r.float_accuracy; }},
      {"top5", [](const Row& r) -> ExactValue { return r.top5.value; }},
      {"top5_low", [](const Row& r) -> ExactValue { return r.top5.low; }},
      {"top5_high", [](const Row& r) -> ExactValue { return r.top5.high; }},
      {"float_top5", [](const Row& r) -> ExactValue { return r.float_top5; }},
      {"flips", [](const Row& r) -> ExactValue { return r.flips; }},
      {"flip_p", [](const Row& r) -> ExactValue { return r.flip_p; }},
      {"output_sqnr_db", [](const Row& r) -> ExactValue { return r.output_sqnr_db; }},
      {"output_cosine", [](const Row& r) -> ExactValue { return r.cosine; }},
      {"kl_mean_nats", [](const Row& r) -> ExactValue { return r.kl_mean_nats; }},
      {"kl_p99_nats", [](const Row& r) -> ExactValue { return r.kl_p99_nats; }},
      {"kernel_error", [](const Row& r) -> ExactValue { return r.kernel_error; }},
      {"kernel_bound", [](const Row& r) -> ExactValue { return r.kernel_bound; }},
      {"blocks", [](const Row& r) -> ExactValue { return r.blocks; }},
      {"stopped_by", [](const Row& r) -> ExactValue { return r.stopped_by; }},
      {"latency_ns", [](const Row& r) -> ExactValue { return r.latency_ns.value; }},
      {"latency_low_ns", [](const Row& r) -> ExactValue { return r.latency_ns.low; }},
      {"latency_high_ns", [](const Row& r) -> ExactValue { return r.latency_ns.high; }},
      {"latency_p90_ns", [](const Row& r) -> ExactValue { return r.p90_latency_ns; }},
      {"cold_blocks", [](const Row& r) -> ExactValue { return r.cold_blocks; }},
      {"cold_latency_ns", [](const Row& r) -> ExactValue { return r.cold_latency_ns.value; }},
      {"cold_latency_low_ns", [](const Row& r) -> ExactValue { return r.cold_latency_ns.low; }},
      {"cold_latency_high_ns", [](const Row& r) -> ExactValue { return r.cold_latency_ns.high; }},
      {"speedup", [](const Row& r) -> ExactValue { return r.speedup.value; }},
      {"speedup_low", [](const Row& r) -> ExactValue { return r.speedup.low; }},
      {"speedup_high", [](const Row& r) -> ExactValue { return r.speedup.high; }},
      {"bits_per_weight", [](const Row& r) -> ExactValue { return r.bits_per_weight; }},
      {"model_bytes", [](const Row& r) -> ExactValue { return r.model_bytes; }},
      {"peak_growth_bytes", [](const Row& r) -> ExactValue { return r.peak_bytes; }},
      {"load_s", [](const Row& r) -> ExactValue { return r.load_s; }},
      {"quantize_s", [](const Row& r) -> ExactValue { return r.quantize_s; }},
      {"prepare_s", [](const Row& r) -> ExactValue { return r.prepare_s; }},
  };
  return table;
}

bool missing(const ExactValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return text->empty();
  if (const auto* real = std::get_if<double>(&value)) return !std::isfinite(*real);
  return std::get<std::int64_t>(value) == -1;
}

std::vector<const Axis*> group_axes(std::span<const SummaryRow> rows) {
  std::vector<const Axis*> found;
  for (const Axis& axis : axes())
    if (axis.heads_group && varies(axis, rows)) found.push_back(&axis);
  return found;
}

std::string group_heading(const SummaryRow& row, const std::vector<const Axis*>& group) {
  std::vector<std::string> parts;
  for (const Axis* axis : group) parts.push_back(fmt::format("{} {}", axis->name, axis->text(row)));
  return join(parts, ", ");
}

std::vector<SummaryRow> rows_for_reading(const RunRecord& run) {
  std::vector<SummaryRow> rows = summary_rows(run);
  const auto key = [](const SummaryRow& row) {
    const Combination& c = row.combination;
    const std::string method = c.quantizer == "float" ? "" : c.quantizer.substr(0, c.quantizer.find(':'));
    return std::tuple(c.model, c.hardware, c.batch, c.threads, c.kernel, method, -weight_bits(c.quantizer),
                      c.quantizer);
  };
  std::stable_sort(rows.begin(), rows.end(), [&](const SummaryRow& a, const SummaryRow& b) { return key(a) < key(b); });
  return rows;
}

std::string counts_text(std::span<const SummaryRow> rows) {
  constexpr std::string_view kOrder[] = {"ok", "unsupported", "failed", "timed_out", "mistrusted", "pending"};
  std::map<std::string, std::size_t> counts;
  std::size_t noisy = 0;
  for (const SummaryRow& row : rows) {
    ++counts[row.status];
    noisy += row.status == "ok" && !row.noise.empty();
  }
  std::vector<std::string> parts;
  for (const std::string_view status : kOrder) {
    const std::size_t count = counts[std::string(status)];
    if (count == 0) continue;
    parts.push_back(fmt::format("{} {}", count, status));
    if (status == "ok" && noisy > 0) parts.back() += fmt::format(" ({} noisy)", noisy);
  }
  return fmt::format("{} unit{}{}{}", rows.size(), rows.size() == 1 ? "" : "s", parts.empty() ? "" : ": ",
                     join(parts, ", "));
}

std::string one_line(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return result;
}

}  // namespace qb
