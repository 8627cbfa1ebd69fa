// Where studies' relative paths are looked up.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "models/manifest.h"

namespace qb {

/// The running program, and the worker program: its name with `-worker` behind it, beside it.
std::filesystem::path own_program();
std::filesystem::path worker_program();

/// The shipped `configs`: the first that exists of ./configs, and above the program's folder `configs` and
/// `share/quantbench/configs`, upwards to the root. Empty when there is none.
std::filesystem::path shipped_configs();

/// The user's folders first, then shipped_configs() and its `models`, all absolute. Throws InputError naming a folder
/// that does not exist.
DataRoots data_roots(const std::vector<std::string>& folders);

}  // namespace qb
