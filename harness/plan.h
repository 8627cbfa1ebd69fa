// The plan of a run: the product of a study's axes minus exclusions, in a seeded order, every unit named by a digest.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/study.h"
#include "reports/record/run_record.h"

namespace qb {

/// One point of the product, as indices into the study's axes.
struct PlanPoint {
  std::uint32_t model = 0, quantizer = 0, hardware = 0, kernel = 0, batch = 0, threads = 0;
};

using UnitId = std::array<std::uint8_t, 32>;

struct PlannedUnit {
  PlanPoint point;
  UnitId id{};  ///< the bytes of WorkUnit::id
};

struct PlanExclusion {
  PlanPoint point;
  std::uint32_t reason = 0;  ///< index into Plan::reasons
};

/// What will be measured, and in which order. Units are kept as indices and share the study, so that a million of them
/// take tens of megabytes; work_unit() writes one out in full. The same study and files give the same plan everywhere.
struct Plan {
  Study study;
  std::vector<PlannedUnit> units;       ///< in the order of a shuffle seeded by the study's seed
  std::vector<PlanExclusion> excluded;  ///< in the order of the axes
  std::vector<std::string> reasons;
  std::string digest;                     ///< over the study's name and all units and exclusions in order
  std::string run_id;                     ///< 16 hexadecimal digits that follow from the digest
  std::vector<std::string> data_options;  ///< `--data DIR` as given, for `reproduce`
};

/// Throws InputError when nothing is left to measure, or when the product exceeds 2^31 combinations.
Plan make_plan(Study study);

/// The same plan with only the units whose id begins with one of `prefixes`; throws InputError for a prefix that names
/// no unit or more than one.
Plan only_units(const Plan& plan, const std::vector<std::string>& prefixes);

Combination combination_of(const Study& study, const PlanPoint& point);
std::string id_text(const PlannedUnit& unit);           ///< 64 hexadecimal digits
std::optional<UnitId> parse_id(std::string_view text);  ///< nothing unless it is 64 lower-case hexadecimal digits
WorkUnit work_unit(const Plan& plan, std::size_t index);
std::string reproduce_command(const Plan& plan, std::size_t index);  ///< command line that measures this unit again
std::string shell_word(const std::string& text);  ///< as a POSIX shell reads it back, quoted where it must be

std::string plan_text(const Plan& plan);  ///< units and exclusions as a table for people
Json plan_json(const Plan& plan);

}  // namespace qb
