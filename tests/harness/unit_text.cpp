#include "harness/unit_text.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "harness/plan.h"
#include "tests/harness/invented_study.h"

namespace qb {
namespace {

TEST_CASE("leases as filled text are leases as JSON, also where a name looks like a gap") {
  Study study = invented_study(2, 2, 2);
  study.models[1].name = "?kernel?";
  study.quantizers[1] = "with \"quotes\" and \\";
  const Plan plan = make_plan(study);
  LeaseText text;
  CHECK(text.of({}) == canonical_text(to_json(std::vector<Lease>{})));
  std::vector<Lease> leases;
  for (std::size_t i = 0; i < plan.units.size(); ++i) leases.push_back({std::int64_t(i) + 1, work_unit(plan, i)});
  CHECK(text.of(leases) == canonical_text(to_json(leases)));
  CHECK(text.of({leases.back()}) == canonical_text(to_json(std::vector<Lease>{leases.back()})));
}

}  // namespace
}  // namespace qb
