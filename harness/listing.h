// What the axes of a study may hold: the command `list`.
#pragma once
#include <string>
#include <string_view>

#include "kernels/base/json.h"
#include "models/manifest.h"

namespace qb {

/// Everything there is to say of one list, as a JSON array of objects with equal keys. `what` is models, quantizers,
/// kernels, hardware or datasets; throws InputError naming the nearest for anything else.
Json listing(std::string_view what, const DataRoots& roots);

/// The same for people, in lines of at most `width` columns (100 or more): quantizers as paragraphs, with the options
/// that they share once at the end; the others as tables.
std::string listing_text(std::string_view what, const Json& rows, int width);

}  // namespace qb
