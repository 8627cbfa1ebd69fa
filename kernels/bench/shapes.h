// Layer shapes of networks, read from configs/shapes.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace qb {

/// y [m, n] = a [m, k] * transpose(w [n, k]).
struct LayerShape {
  std::int64_t m = 0, n = 0, k = 0;
  std::string comment;  ///< what stands behind '#' in its line
  bool operator==(const LayerShape&) const = default;
};

/// One shape per line, `m n k # comment`, each number in [1, 1000000] and n * k below 2^31; empty lines and lines that
/// begin with '#' are skipped. Throws DataError naming `where`, the line and the fault.
std::vector<LayerShape> parse_shapes(std::string_view text, std::string_view where);

std::vector<LayerShape> read_shapes(const std::filesystem::path& file);  ///< throws as read_file and parse_shapes

/// The *.txt files of a folder in the order of their names. Throws InputError when there is none.
std::vector<std::filesystem::path> shape_files(const std::filesystem::path& folder);

}  // namespace qb
