#include "harness/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string_view>

#include "harness/unit_text.h"
#include "kernels/base/cpu.h"
#include "kernels/base/digest.h"
#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "kernels/base/random.h"
#include "kernels/registry.h"

namespace qb {

namespace {

constexpr std::uint64_t kMaxProduct = std::uint64_t(1) << 31;

template <class T>
bool admits(const std::vector<T>& accepted, const T& value) {
  return accepted.empty() || std::find(accepted.begin(), accepted.end(), value) != accepted.end();
}

bool excludes(const Exclusion& rule, const Study& study, const PlanPoint& point) {
  return admits(rule.kernels, study.kernels[point.kernel]) &&
         admits(rule.hardware, study.hardware[point.hardware].name) && admits(rule.batch, study.batch[point.batch]) &&
         admits(rule.threads, study.threads[point.threads]) &&
         admits(rule.quantizers, study.quantizers[point.quantizer]) &&
         admits(rule.models, study.models[point.model].name);
}

/// Per hardware entry and kernel choice: why the two cannot go together, or "".
std::vector<std::string> impossible_pairs(const Study& study) {
  std::vector<std::string> faults;
  for (const HardwareEntry& hardware : study.hardware)
    for (const std::string& choice : study.kernels) {
      const KernelInfo* kernel = find_kernel(choice);
      const bool possible = !kernel || includes(isa_cap(hardware.isa), kernel->needs);
      faults.push_back(possible ? ""
                                : fmt::format("kernel {} needs {}, which the cap '{}' does not allow", choice,
                                              to_text(kernel->needs), hardware.isa));
    }
  return faults;
}

/// Sorts every point of the product into units and exclusions, in the order of the axes.
void multiply(Plan& plan) {
  const Study& study = plan.study;
  const std::vector<std::string> impossible = impossible_pairs(study);
  std::map<std::string, std::uint32_t> reason_index;
  const auto exclude = [&](const PlanPoint& point, const std::string& reason) {
    const auto [found, fresh] = reason_index.emplace(reason, std::uint32_t(plan.reasons.size()));
    if (fresh) plan.reasons.push_back(reason);
    plan.excluded.push_back({point, found->second});
  };
  const auto sort_in = [&](const PlanPoint& point) {
    for (const Exclusion& rule : study.exclude)
      if (excludes(rule, study, point)) return exclude(point, rule.reason);
    const std::string& fault = impossible[point.hardware * study.kernels.size() + point.kernel];
    if (!fault.empty()) return exclude(point, fault);
    plan.units.push_back({point, {}});
  };
  PlanPoint p;
  for (p.model = 0; p.model < study.models.size(); ++p.model)
    for (p.quantizer = 0; p.quantizer < study.quantizers.size(); ++p.quantizer)
      for (p.hardware = 0; p.hardware < study.hardware.size(); ++p.hardware)
        for (p.kernel = 0; p.kernel < study.kernels.size(); ++p.kernel)
          for (p.batch = 0; p.batch < study.batch.size(); ++p.batch)
            for (p.threads = 0; p.threads < study.threads.size(); ++p.threads) sort_in(p);
}

WorkUnit unit_at(const Study& study, const PlanPoint& point) {
  const HardwareEntry& hardware = study.hardware[point.hardware];
  return {.id = {},
          .combination = combination_of(study, point),
          .isa = hardware.isa,
          .match = hardware.match,
          .model = study.models[point.model],
          .seed = study.seed,
          .measure = study.measure,
          .limits = study.limits};
}

/// Writes the id of every unit; any number of threads gives the same ids.
void name_units(Plan& plan) {
  const Study& study = plan.study;
  std::vector<UnitText> texts;
  for (std::uint32_t model = 0; model < study.models.size(); ++model)
    for (std::uint32_t hardware = 0; hardware < study.hardware.size(); ++hardware)
      texts.emplace_back(unit_at(study, PlanPoint{.model = model, .hardware = hardware}));
  const auto quoted = [](const std::vector<std::string>& names) {
    std::vector<std::string> result;
    for (const std::string& name : names) result.push_back(canonical_text(Json(name)));
    return result;
  };
  const std::vector<std::string> quantizers = quoted(study.quantizers), kernels = quoted(study.kernels);
  const auto name_range = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      PlannedUnit& unit = plan.units[std::size_t(i)];
      const PlanPoint& p = unit.point;
      const UnitText& text = texts[p.model * study.hardware.size() + p.hardware];
      unit.id = *parse_id(text.usable() ? sha256_hex(text.filled({"", quantizers[p.quantizer], kernels[p.kernel],
                                                                  std::to_string(study.batch[p.batch]),
                                                                  std::to_string(study.threads[p.threads])}))
                                        : unit_id(unit_at(study, p)));
    }
  };
  parallel_for(std::int64_t(plan.units.size()), hardware_threads(), 1024, name_range);
  QB_EXPECTS(id_text(plan.units.front()) == unit_id(unit_at(study, plan.units.front().point)));
}

void seal(Plan& plan) {
  Sha256 digest;
  digest.update("quantbench plan 1\n").update(canonical_text(Json(plan.study.name))).update("\n");
  for (const PlannedUnit& unit : plan.units) digest.update(std::as_bytes(std::span(unit.id)));
  for (const PlanExclusion& row : plan.excluded) {
    const Combination c = combination_of(plan.study, row.point);
    digest.update(canonical_text(
        Json::array({c.model, c.quantizer, c.hardware, c.kernel, c.batch, c.threads, plan.reasons[row.reason]})));
  }
  plan.digest = digest.hex();
  plan.run_id = sha256_hex("quantbench run " + plan.digest).substr(0, 16);
}

}  // namespace

Combination combination_of(const Study& study, const PlanPoint& point) {
  return {.model = study.models[point.model].name,
          .quantizer = study.quantizers[point.quantizer],
          .hardware = study.hardware[point.hardware].name,
          .kernel = study.kernels[point.kernel],
          .batch = study.batch[point.batch],
          .threads = int(study.threads[point.threads])};
}

Plan make_plan(Study study) {
  std::uint64_t product = 1;
  for (const std::size_t size : {study.models.size(), study.quantizers.size(), study.hardware.size(),
                                 study.kernels.size(), study.batch.size(), study.threads.size()}) {
    QB_EXPECTS(size > 0);
    product *= size;
    if (product > kMaxProduct)
      throw InputError(
          fmt::format("{}: the product of the axes exceeds the {} combinations allowed", study.path, kMaxProduct));
  }
  Plan plan;
  plan.study = std::move(study);
  multiply(plan);
  if (plan.units.empty())
    throw InputError(fmt::format("{}: key 'exclude' leaves nothing to measure: all {} combinations are excluded",
                                 plan.study.path, plan.excluded.size()));
  name_units(plan);
  Random random(plan.study.seed, /*stream=*/0x706c616e);
  shuffle(std::span(plan.units), random);
  seal(plan);
  return plan;
}

Plan only_units(const Plan& plan, const std::vector<std::string>& prefixes) {
  std::vector<bool> wanted(plan.units.size(), false);
  for (const std::string& prefix : prefixes) {
    std::size_t hits = 0;
    for (std::size_t i = 0; i < plan.units.size(); ++i)
      if (id_text(plan.units[i]).starts_with(prefix)) {
        wanted[i] = true;
        ++hits;
      }
    if (hits != 1 || prefix.empty())
      throw InputError(
          fmt::format("--unit {}: {} units of study '{}' have an id that begins so; `quantbench plan {}` lists them",
                      prefix, hits == 0 ? "no" : "several", plan.study.name, plan.study.path));
  }
  Plan part = plan;
  part.units.clear();
  part.excluded.clear();
  part.reasons.clear();
  for (std::size_t i = 0; i < plan.units.size(); ++i)
    if (wanted[i]) part.units.push_back(plan.units[i]);
  seal(part);
  return part;
}

std::string id_text(const PlannedUnit& unit) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(64, '0');
  for (std::size_t i = 0; i < unit.id.size(); ++i) {
    text[2 * i] = kDigits[unit.id[i] >> 4];
    text[2 * i + 1] = kDigits[unit.id[i] & 15];
  }
  return text;
}

std::optional<UnitId> parse_id(std::string_view text) {
  UnitId id{};
  if (text.size() != 2 * id.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool digit = c >= '0' && c <= '9';
    if (!digit && !(c >= 'a' && c <= 'f')) return std::nullopt;
    id[i / 2] = std::uint8_t(id[i / 2] << 4 | (digit ? c - '0' : c - 'a' + 10));
  }
  return id;
}

WorkUnit work_unit(const Plan& plan, std::size_t index) {
  WorkUnit unit = unit_at(plan.study, plan.units[index].point);
  unit.id = id_text(plan.units[index]);
  return unit;
}

std::string shell_word(const std::string& text) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./,:=@%+";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? "'\\''" : std::string(1, c);
  return word + "'";
}

std::string reproduce_command(const Plan& plan, std::size_t index) {
  std::string command = fmt::format("quantbench run {}", shell_word(plan.study.path));
  for (const std::string& folder : plan.data_options) command += fmt::format(" --data {}", shell_word(folder));
  return command + fmt::format(" --unit {}", id_text(plan.units[index]).substr(0, 16));
}

std::string plan_text(const Plan& plan) {
  std::vector<std::array<std::string, 7>> rows = {
      {"unit", "model", "quantizer", "hardware", "kernel", "batch", "threads"}};
  const auto row = [&](const std::string& first, const PlanPoint& point) {
    const Combination c = combination_of(plan.study, point);
    rows.push_back(
        {first, c.model, c.quantizer, c.hardware, c.kernel, std::to_string(c.batch), std::to_string(c.threads)});
  };
  for (const PlannedUnit& unit : plan.units) row(id_text(unit).substr(0, 16), unit.point);
  for (const PlanExclusion& excluded : plan.excluded) row("excluded", excluded.point);
  std::array<std::size_t, 7> width{};
  for (const auto& cells : rows)
    for (std::size_t i = 0; i < cells.size(); ++i) width[i] = std::max(width[i], cells[i].size());
  std::string text;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < width.size(); ++i) line += fmt::format("{:<{}}  ", rows[r][i], width[i]);
    if (r > plan.units.size()) line += plan.reasons[plan.excluded[r - 1 - plan.units.size()].reason];
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text + fmt::format("\nrun {}: {} units in this order, {} excluded; plan digest {}\n", plan.run_id,
                            plan.units.size(), plan.excluded.size(), plan.digest);
}

Json plan_json(const Plan& plan) {
  const auto row = [&](const PlanPoint& point) {
    const Combination c = combination_of(plan.study, point);
    return Json{{"model", c.model},   {"quantizer", c.quantizer}, {"hardware", c.hardware},
                {"kernel", c.kernel}, {"batch", c.batch},         {"threads", c.threads}};
  };
  Json units = Json::array(), excluded = Json::array();
  for (std::size_t i = 0; i < plan.units.size(); ++i) {
    units.push_back(row(plan.units[i].point));
    units.back()["unit"] = id_text(plan.units[i]);
    units.back()["reproduce"] = reproduce_command(plan, i);
  }
  for (const PlanExclusion& exclusion : plan.excluded) {
    excluded.push_back(row(exclusion.point));
    excluded.back()["reason"] = plan.reasons[exclusion.reason];
  }
  return {{"run_id", plan.run_id},
          {"plan_digest", plan.digest},
          {"study", plan.study.name},
          {"units", std::move(units)},
          {"excluded", std::move(excluded)}};
}

}  // namespace qb
