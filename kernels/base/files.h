// Whole files: read with a size limit, written so that a reader sees the old file or the new one and never a part.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace qb {

/// The bytes of a regular file. Throws DataError when it is missing, unreadable or larger than `limit` bytes.
std::string read_file(const std::filesystem::path& path, std::uint64_t limit = std::uint64_t(4) << 30);

/// Writes to a temporary name in the same folder, syncs, renames, and syncs the folder. Throws InputError that names
/// the path and the system's reason; then the old file is as it was and no temporary file is left.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes, unsigned mode = 0644);

}  // namespace qb
