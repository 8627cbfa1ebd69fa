// What this machine is, what it can do at most, and what would disturb measurements on it: the command `doctor`.
#pragma once
#include <string>

#include "kernels/base/json.h"

namespace qb {

/// {"profile": ..., "noise": ..., "system": {...}, "advice": [...]}. Measures the peaks anew unless they are kept for
/// this machine and build; takes a few seconds then.
Json machine_facts();
std::string machine_text(const Json& facts);

}  // namespace qb
