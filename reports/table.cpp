#include "reports/table.h"

#include <map>
#include <tuple>
#include <unordered_map>

namespace qb {

namespace {

/// Time of one batch in each block after the warm-up.
std::vector<double> batch_times(const SampleSet& set) {
  std::vector<double> times;
  for (std::size_t i = std::size_t(set.warmup); i < set.time_ns.size(); ++i)
    times.push_back(set.time_ns[i] / double(set.iterations[i]));
  return times;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? kMissing : sum / double(values.size());
}

void judge(const Measurement& m, std::string_view data, SummaryRow& row) {
  const ItemColumns& items = m.items;
  const std::size_t n = items.index.size();
  if (n == 0) return;
  std::int64_t hits = 0, float_hits = 0, hits5 = 0, float_hits5 = 0, gained = 0, lost = 0;
  row.samples = std::int64_t(n);
  row.flips = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const bool hit = items.top1[i] == items.target[i], float_hit = items.float_top1[i] == items.target[i];
    hits += hit;
    float_hits += float_hit;
    hits5 += items.hit5[i];
    float_hits5 += items.float_hit5[i];
    gained += hit && !float_hit;
    lost += float_hit && !hit;
    row.flips += items.top1[i] != items.float_top1[i];
  }
  row.flip_p = mcnemar_p(gained, lost);
  row.top5 = wilson(hits5, row.samples);
  row.float_top5 = double(float_hits5) / double(n);
  row.kl_mean_nats = mean(items.kl);
  row.kl_p99_nats = percentile_bound(items.kl, 0.99);
  if (m.task == "language") {
    row.metric = "perplexity";
    row.accuracy = perplexity_interval(items.log_likelihood);
    row.float_accuracy = perplexity_interval(items.float_log_likelihood).value;
  } else {
    row.metric = data == "generated" ? "agreement" : "top-1";
    row.accuracy = wilson(hits, row.samples);
    row.float_accuracy = double(float_hits) / double(n);
  }
}

void weigh(const Measurement& m, SummaryRow& row) {
  row.bits_per_weight = m.bits_per_weight;
  if (m.packed_bytes >= 0 && m.other_bytes >= 0) row.model_bytes = m.packed_bytes + m.other_bytes;
  if (m.peak_bytes >= 0 && m.base_bytes >= 0 && m.peak_bytes >= m.base_bytes)
    row.peak_bytes = m.peak_bytes - m.base_bytes;
}

void time(const Measurement& m, SummaryRow& row) {
  const std::vector<double> hot = batch_times(m.hot), cold = batch_times(m.cold);
  if (!hot.empty()) row.blocks = std::ssize(hot);
  if (!cold.empty()) row.cold_blocks = std::ssize(cold);
  row.latency_ns = median_interval(hot);
  row.cold_latency_ns = median_interval(cold);
  row.p90_latency_ns = percentile_bound(hot, 0.9);
  row.stopped_by = m.hot.stopped_by;
}

SummaryRow summary_row(const PlanRow& plan, const Measurement* m) {
  SummaryRow row;
  row.combination = plan.unit.combination;
  row.unit = plan.unit.id;
  row.status = plan.status;
  row.reason = plan.reason;
  if (!m) return row;
  row.status = name_of(m->outcome);
  row.machine_key = m->machine_key;
  row.dataset = m->dataset;
  row.kernels = m->kernels;
  row.noise = m->noise.marked;
  if (!m->reason.empty()) row.reason = m->reason;
  if (m->outcome != Outcome::ok) return row;
  judge(*m, plan.unit.model.dataset.kind, row);
  time(*m, row);
  weigh(*m, row);
  row.output_sqnr_db = m->output_sqnr_db;
  row.cosine = m->output_cosine;
  row.kernel_error = m->kernel_error;
  row.kernel_bound = m->kernel_bound;
  row.load_s = m->load_s;
  row.quantize_s = m->quantize_s;
  row.prepare_s = m->prepare_s;
  return row;
}

}  // namespace

std::vector<SummaryRow> summary_rows(const RunRecord& run) {
  std::unordered_map<std::string, const Measurement*> by_unit;
  for (const Measurement& m : run.measurements) by_unit.emplace(m.unit, &m);
  std::vector<SummaryRow> rows;
  std::vector<const Measurement*> measured;
  // What a quantized row must share with the float row that it is compared with.
  using Partner = std::tuple<std::string, std::string, std::string, std::int64_t, int, std::string>;
  const auto partner_of = [](const SummaryRow& row) {
    const Combination& c = row.combination;
    return Partner{c.model, c.hardware, c.kernel, c.batch, c.threads, row.machine_key};
  };
  std::map<Partner, const Measurement*> floats;
  for (const PlanRow& plan : run.plan) {
    const auto found = by_unit.find(plan.unit.id);
    measured.push_back(found == by_unit.end() ? nullptr : found->second);
    rows.push_back(summary_row(plan, measured.back()));
    if (rows.back().combination.quantizer == "float" && rows.back().status == "ok")
      floats[partner_of(rows.back())] = measured.back();
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].status != "ok") continue;
    if (const auto partner = floats.find(partner_of(rows[i])); partner != floats.end())
      rows[i].speedup = partner->second == measured[i]
                            ? Estimate{1, 1, 1}
                            : ratio_of_medians(batch_times(partner->second->hot), batch_times(measured[i]->hot));
  }
  return rows;
}

}  // namespace qb
