#include "kernels/bench/shapes.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "kernels/base/text.h"

namespace qb {

namespace {

constexpr std::int64_t kLargest = 1'000'000;
constexpr std::uint64_t kFileLimit = 1 << 20;

}  // namespace

std::vector<LayerShape> parse_shapes(std::string_view text, std::string_view where) {
  std::vector<LayerShape> shapes;
  int line_number = 0;
  for (const std::string_view line : split(text, '\n')) {
    ++line_number;
    const std::size_t mark = std::min(line.find('#'), line.size());
    std::vector<std::int64_t> numbers;
    for (const std::string_view word : split(trimmed(line.substr(0, mark)), ' ')) {
      if (word.empty()) continue;
      const auto number = parse_int(word);
      if (!number || *number < 1 || *number > kLargest)
        throw DataError(
            fmt::format("{} line {}: '{}' is no size; sizes are 1 to {}", where, line_number, word, kLargest));
      numbers.push_back(*number);
    }
    if (numbers.empty()) continue;
    if (numbers.size() != 3)
      throw DataError(
          fmt::format("{} line {}: {} numbers; a shape is 'm n k # comment'", where, line_number, numbers.size()));
    if (numbers[1] * numbers[2] >= std::int64_t(1) << 31)
      throw DataError(fmt::format("{} line {}: {} x {} weights are too many; up to 2^31 are accepted", where,
                                  line_number, numbers[1], numbers[2]));
    const std::string_view comment = mark < line.size() ? trimmed(line.substr(mark + 1)) : std::string_view();
    shapes.push_back({numbers[0], numbers[1], numbers[2], std::string(comment)});
  }
  return shapes;
}

std::vector<LayerShape> read_shapes(const std::filesystem::path& file) {
  return parse_shapes(read_file(file, kFileLimit), file.string());
}

std::vector<std::filesystem::path> shape_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  if (files.empty()) throw InputError(fmt::format("folder '{}' holds no *.txt with layer shapes", folder.string()));
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace qb
