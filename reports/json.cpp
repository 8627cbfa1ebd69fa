#include <nlohmann/json.hpp>

#include "reports/table_columns.h"

namespace qb {

namespace {

nlohmann::ordered_json exact_json(const ExactValue& value) {
  if (missing(value)) return nullptr;
  return std::visit([](const auto& v) { return nlohmann::ordered_json(v); }, value);
}

}  // namespace

std::string json_table(const RunRecord& run) {
  nlohmann::ordered_json document;
  document["run_id"] = run.run_id;
  document["study"] = run.study_name;
  document["plan_digest"] = run.plan_digest;
  document["build"] = run.build;
  document["created_utc"] = run.created_utc;
  document["finished_utc"] = run.finished_utc;
  document["machines"] = nlohmann::ordered_json::array();
  for (const HardwareProfile& machine : run.machines)
    document["machines"].push_back(nlohmann::ordered_json(to_json(machine)));
  document["excluded"] = nlohmann::ordered_json::array();
  for (const ExcludedRow& row : run.excluded) {
    const Combination& c = row.combination;
    document["excluded"].push_back(nlohmann::ordered_json{{"model", c.model},
                                                          {"quantizer", c.quantizer},
                                                          {"hardware", c.hardware},
                                                          {"kernel", c.kernel},
                                                          {"batch", c.batch},
                                                          {"threads", c.threads},
                                                          {"reason", row.reason}});
  }
  document["rows"] = nlohmann::ordered_json::array();
  for (const SummaryRow& row : rows_for_reading(run)) {
    nlohmann::ordered_json line;
    for (const ExactColumn& column : exact_columns()) line[std::string(column.name)] = exact_json(column.value(row));
    document["rows"].push_back(std::move(line));
  }
  return document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace qb
