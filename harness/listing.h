// What the axes of a study may hold: the command `list`.
#pragma once
#include <string>
#include <string_view>

#include "kernels/base/json.h"
#include "models/manifest.h"

namespace qb {

/// Rows of one list as a JSON array of objects with equal keys. `what` is models, quantizers, kernels, hardware or
/// datasets; throws InputError naming the nearest for anything else.
Json listing(std::string_view what, const DataRoots& roots);

/// The rows as aligned columns, one line each, under a line of headings.
std::string listing_text(const Json& rows);

}  // namespace qb
