#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "kernels/base/error.h"
#include "kernels/base/text.h"
#include "models/data/samples.h"

namespace qb {

namespace {

/// Lines of a CSV text that are not blank, each as its trimmed fields, with their numbers in the file.
struct Line {
  std::size_t number = 0;
  std::vector<std::string_view> fields;
};

std::vector<Line> lines_of(std::string_view text, std::string_view where) {
  std::vector<Line> lines;
  std::size_t number = 0;
  for (const std::string_view raw : split(text, '\n')) {
    ++number;
    if (trimmed(raw).empty()) continue;
    Line line{number, split(raw, ',')};
    for (std::string_view& field : line.fields) field = trimmed(field);
    if (!valid_utf8(raw)) throw DataError(fmt::format("{}: line {} is not UTF-8", where, number));
    if (!lines.empty() && line.fields.size() != lines[0].fields.size())
      throw DataError(fmt::format("{}: line {} has {} fields, the first has {}", where, number, line.fields.size(),
                                  lines[0].fields.size()));
    lines.push_back(std::move(line));
  }
  if (lines.empty()) throw DataError(fmt::format("{}: holds no lines", where));
  return lines;
}

std::string shown(std::string_view field) { return std::string(field.substr(0, 40)); }

/// The last field of each line as a class: a number where all are whole numbers, else the place of its name in order.
void set_classes(const std::vector<Line>& lines, std::string_view where, RawSamples& samples) {
  constexpr std::int64_t kMostClasses = 1 << 20;
  const bool numbers =
      std::ranges::all_of(lines, [](const Line& line) { return parse_int(line.fields.back()).has_value(); });
  std::map<std::string_view, std::int64_t> places;
  for (const Line& line : lines) places[line.fields.back()] = 0;
  for (std::int64_t next = 0; auto& [name, place] : places) place = next++;
  for (const Line& line : lines) {
    const std::string_view field = line.fields.back();
    if (field.empty()) throw DataError(fmt::format("{}: line {} ends without a class", where, line.number));
    const std::int64_t target = numbers ? *parse_int(field) : places.at(field);
    if (target < 0 || target >= kMostClasses)
      throw DataError(fmt::format("{}: line {} has the class {}; accepted are 0 to {}", where, line.number, target,
                                  kMostClasses - 1));
    samples.targets.push_back(std::int32_t(target));
    samples.classes = std::max(samples.classes, std::int32_t(target) + 1);
  }
}

}  // namespace

RawSamples read_csv_samples(std::string_view text, std::string_view where) {
  std::vector<Line> lines = lines_of(text, where);
  const std::size_t columns = lines[0].fields.size();
  if (columns < 2)
    throw DataError(fmt::format("{}: has one column; accepted are numbers and a last column with the class", where));
  const auto is_number = [](std::string_view field) { return parse_double(field).has_value(); };
  if (std::none_of(lines[0].fields.begin(), lines[0].fields.end() - 1, is_number)) lines.erase(lines.begin());
  if (lines.empty()) throw DataError(fmt::format("{}: holds a header only", where));

  RawSamples samples;
  const auto width = std::int64_t(columns) - 1;
  samples.values = Tensor(DType::f64, {std::ssize(lines), width});
  double* value = samples.values.bytes.as<double>();
  for (const Line& line : lines) {
    for (std::size_t column = 0; column + 1 < columns; ++column) {
      const std::optional<double> number = parse_double(line.fields[column]);
      if (!number)
        throw DataError(fmt::format("{}: line {} has '{}' where a number should be", where, line.number,
                                    shown(line.fields[column])));
      *value++ = *number;
    }
  }
  set_classes(lines, where, samples);
  return samples;
}

RawSamples read_byte_samples(std::string_view records, std::string_view records_where, const Shape& shape,
                             std::string_view labels, std::string_view labels_where) {
  RawSamples samples;
  const std::vector<Line> lines = lines_of(labels, labels_where);
  const bool numbers =
      std::ranges::all_of(lines, [](const Line& line) { return parse_int(line.fields.back()).has_value(); });
  if (!numbers) throw DataError(fmt::format("{}: the last column does not hold class numbers only", labels_where));
  set_classes(lines, labels_where, samples);
  const std::int64_t each = element_count(shape, records_where);
  if (each < 1 || records.size() / std::uint64_t(each) != lines.size() || records.size() % std::uint64_t(each) != 0)
    throw DataError(fmt::format("{}: {} bytes are not {} records of {} bytes, as '{}' has lines", records_where,
                                records.size(), lines.size(), each, labels_where));
  Shape all = shape;
  all.insert(all.begin(), std::ssize(lines));
  samples.values = Tensor(DType::i8, std::move(all));
  std::memcpy(samples.values.bytes.data(), records.data(), records.size());
  return samples;
}

}  // namespace qb
