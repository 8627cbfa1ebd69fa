// What the user asks quantbench-kernels for.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/bench/product_format.h"
#include "kernels/bench/shapes.h"
#include "kernels/bench/subject.h"
#include "kernels/registry.h"

namespace qb {

enum class Output : std::uint8_t { text, markdown, csv, json };

struct Options {
  std::vector<LayerShape> shapes;
  std::vector<ProductFormat> formats;
  std::vector<QuantFormat> plane_formats;  ///< of convolutions
  std::vector<int> threads;
  std::vector<std::string> kernels;  ///< names, or "best", "peers", "reference", "all"
  int rounds = 9;
  std::int64_t cold_bytes = qb::cold_bytes();  ///< tests ask for less
  bool table = false;
  Output output = Output::text;
  std::filesystem::path document;  ///< empty: none
  std::filesystem::path goals;     ///< read for the document
};

/// Formats that between them ask for every family of the table, in the order of the table of goals.
std::vector<std::string> default_formats();

/// Formats that ask for every family of convolutions.
std::vector<std::string> default_plane_formats();

/// Reads what Google Benchmark has left over. Throws InputError naming the option or value, what would be accepted and
/// what is nearest.
Options read_options(const std::vector<std::string_view>& arguments, const std::filesystem::path& shapes_folder);

/// Lines for --help.
extern const char* const kUsage;

}  // namespace qb
