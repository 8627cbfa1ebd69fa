// What the coordinator tells people and monitors about a run.
#pragma once
#include <cstdint>
#include <string>

#include "harness/coordinator.h"
#include "kernels/base/json.h"

namespace qb {

/// GET /v1/run: totals, rate, remaining seconds (null while unknown), workers with their phases, the last results.
Json run_status(const Coordinator& coordinator, std::int64_t now_ns);

/// Gauges and counters of the HTTP side, as the server counts them.
struct HttpFigures {
  std::uint64_t open_connections = 0, connections = 0, refused_connections = 0, requests = 0, bad_requests = 0,
                failed_logins = 0, timeouts = 0;
};

/// GET /metrics: Prometheus text format 0.0.4.
std::string metrics_text(const Coordinator& coordinator, const HttpFigures& http, std::int64_t now_ns);

/// GET /: one page without any outside resource. It holds no data; it asks /v1/run with the token that the reader
/// enters.
const std::string& live_page();

}  // namespace qb
