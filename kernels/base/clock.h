// The one monotonic clock that durations are measured with.
#pragma once
#include <cstdint>
#include <string>

namespace qb {

std::int64_t now_ns();   ///< CLOCK_MONOTONIC_RAW: never steps, not slewed by NTP
std::string utc_text();  ///< wall-clock time as 2026-01-31T12:34:56Z, for humans and records only

}  // namespace qb
