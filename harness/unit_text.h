// Units as text, by filling gaps: building JSON for each of a million units would take a minute, this takes seconds.
#pragma once
#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "workers/records/unit.h"
#include "workers/wire/protocol.h"

namespace qb {

/// The canonical text of all units of one model and hardware entry, with gaps where id, quantizer, kernel, batch and
/// threads stand.
class UnitText {
 public:
  static constexpr std::size_t kGaps = 5;

  /// What `unit` says in the gaps does not matter; the text has a place for the id only when it says one.
  explicit UnitText(WorkUnit unit);
  /// False when a name of the study looks like a gap; the caller then takes the slow way.
  bool usable() const { return usable_; }
  /// `values` as JSON text, in the order above.
  std::string filled(const std::array<std::string, kGaps>& values) const;

 private:
  std::vector<std::string> pieces_;  ///< one more than there are gaps
  std::vector<std::size_t> order_;   ///< gap between pieces i and i + 1
  bool usable_ = false;
};

/// The answer to a lease request: equal to canonical_text(to_json(leases)).
class LeaseText {
 public:
  std::string of(const std::vector<Lease>& leases);

 private:
  std::map<std::pair<std::string, std::string>, UnitText> texts_;  ///< by model and hardware, each unique in a study
};

}  // namespace qb
