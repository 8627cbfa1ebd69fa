// Whole files: read with a size limit, written so that a reader sees the old file or the new one and never a part.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace qb {

/// The bytes of a regular file. Throws DataError when it is missing, unreadable or larger than `limit` bytes.
std::string read_file(const std::filesystem::path& path, std::uint64_t limit = std::uint64_t(4) << 30);

/// Writes to a temporary name in the same folder, syncs, renames, and syncs the folder. Throws InputError that names
/// the path and the system's reason; then the old file is as it was and no temporary file is left.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes, unsigned mode = 0644);

/// The same, but `verify` reads the written bytes under the temporary name before they get the file's name. It
/// returns the fault that it finds, which is thrown like any other reason; empty: none.
void write_file_verified(const std::filesystem::path& path, std::string_view bytes,
                         const std::function<std::string(const std::filesystem::path& written)>& verify);

}  // namespace qb
