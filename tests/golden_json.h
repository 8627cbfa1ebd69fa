// Reading the golden vectors: JSON whose float arrays are hexadecimal little-endian words.
#pragma once
#include <bit>
#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kernels/base/files.h"
#include "tests/shared_data.h"

namespace qb {

/// The parsed file below ../shared/golden, or null where it is not here (said in the output).
inline nlohmann::json golden(const std::string& name) {
  const std::filesystem::path path = shared_path("golden/" + name);
  return path.empty() ? nlohmann::json() : nlohmann::json::parse(read_file(path));
}

inline std::vector<float> floats_of(const nlohmann::json& hex) {
  const std::string text = hex.get<std::string>();
  std::vector<float> values;
  for (std::size_t at = 0; at + 8 <= text.size(); at += 8) {
    std::uint32_t bits = 0;
    for (std::size_t byte = 0; byte < 4; ++byte) {
      std::uint32_t part = 0;
      std::from_chars(text.data() + at + 2 * byte, text.data() + at + 2 * byte + 2, part, 16);
      bits |= part << (8 * byte);
    }
    values.push_back(std::bit_cast<float>(bits));
  }
  return values;
}

}  // namespace qb
