#include "harness/unit_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace qb {

UnitText::UnitText(WorkUnit unit) {
  constexpr std::array<std::string_view, kGaps> kMarks = {"\"?id?\"", "\"?quantizer?\"", "\"?kernel?\"", "987654321",
                                                          "876543210"};
  const bool with_id = !unit.id.empty();
  unit.id = "?id?";
  unit.combination.quantizer = "?quantizer?";
  unit.combination.kernel = "?kernel?";
  unit.combination.batch = 987654321;
  unit.combination.threads = 876543210;
  Json json = to_json(unit);
  if (!with_id) json.erase("id");
  const std::string text = canonical_text(json);
  std::vector<std::pair<std::size_t, std::size_t>> found;  // place and gap
  for (std::size_t gap = with_id ? 0 : 1; gap < kGaps; ++gap) {
    const std::size_t at = text.find(kMarks[gap]);
    if (at == std::string::npos || text.find(kMarks[gap], at + 1) != std::string::npos) return;
    found.emplace_back(at, gap);
  }
  std::sort(found.begin(), found.end());
  std::size_t from = 0;
  for (const auto& [at, gap] : found) {
    pieces_.push_back(text.substr(from, at - from));
    order_.push_back(gap);
    from = at + kMarks[gap].size();
  }
  pieces_.push_back(text.substr(from));
  usable_ = true;
}

std::string UnitText::filled(const std::array<std::string, kGaps>& values) const {
  std::string text;
  for (std::size_t i = 0; i < order_.size(); ++i) text.append(pieces_[i]).append(values[order_[i]]);
  return text.append(pieces_.back());
}

std::string LeaseText::of(const std::vector<Lease>& leases) {
  std::string text = "{\"leases\":[";
  for (const Lease& lease : leases) {
    const WorkUnit& unit = lease.unit;
    const Combination& c = unit.combination;
    const UnitText& filler = texts_.try_emplace({c.model, c.hardware}, unit).first->second;
    const auto quoted = [](const std::string& name) { return canonical_text(Json(name)); };
    if (&lease != &leases.front()) text += ',';
    text.append("{\"epoch\":").append(std::to_string(lease.epoch)).append(",\"unit\":");
    text += filler.usable() ? filler.filled({quoted(unit.id), quoted(c.quantizer), quoted(c.kernel),
                                             std::to_string(c.batch), std::to_string(c.threads)})
                            : canonical_text(to_json(unit));
    text += '}';
  }
  return text + "]}";
}

}  // namespace qb
