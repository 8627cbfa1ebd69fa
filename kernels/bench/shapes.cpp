#include "kernels/bench/shapes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "kernels/base/text.h"

namespace qb {

namespace {

constexpr std::int64_t kLargest = 1'000'000;
constexpr std::uint64_t kFileLimit = 1 << 20;

/// The words of one line and how its faults are told.
struct Line {
  std::vector<std::string_view> words;
  std::string where;

  [[noreturn]] void fail(const std::string& fault) const { throw DataError(fmt::format("{}: {}", where, fault)); }

  std::int64_t size_of(std::string_view word, std::int64_t least = 1) const {
    const auto number = parse_int(word);
    if (!number || *number < least || *number > kLargest)
      fail(fmt::format("'{}' is no size; sizes are {} to {}", word, least, kLargest));
    return *number;
  }
};

LayerShape product_in(const Line& line) {
  std::vector<std::int64_t> numbers;
  for (const std::string_view word : line.words) numbers.push_back(line.size_of(word));
  if (numbers.size() != 3) line.fail(fmt::format("{} numbers; a shape is 'm n k # comment'", numbers.size()));
  return {numbers[0], numbers[1], numbers[2]};
}

/// "c=64" and the like behind the first word, each name at most once.
std::map<std::string, std::int64_t> settings_in(const Line& line, const std::vector<std::string>& known) {
  std::map<std::string, std::int64_t> settings;
  for (std::size_t i = 1; i < line.words.size(); ++i) {
    const std::string_view word = line.words[i];
    const std::size_t mark = word.find('=');
    const std::string name(word.substr(0, mark));
    if (mark == word.npos || std::ranges::find(known, name) == known.end())
      line.fail(fmt::format("'{}' is not known; {}= are", word, join(known, "=, ")));
    if (!settings.emplace(name, line.size_of(word.substr(mark + 1), name == "p" || name == "causal" ? 0 : 1)).second)
      line.fail(fmt::format("'{}=' stands twice", name));
  }
  return settings;
}

void need(const Line& line, const std::map<std::string, std::int64_t>& settings,
          const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (!settings.contains(name)) line.fail(fmt::format("'{}=' is missing", name));
}

LayerShape rows_in(const Line& line) {
  auto settings = settings_in(line, {"m", "k"});
  need(line, settings, {"m", "k"});
  LayerShape shape;
  shape.work = Work::rows;
  shape.m = settings["m"];
  shape.k = settings["k"];
  if (shape.m * shape.k >= std::int64_t(1) << 31) line.fail("the rows have more than 2^31 values");
  return shape;
}

LayerShape attention_in(const Line& line) {
  auto settings = settings_in(line, {"queries", "keys", "heads", "kv", "size", "causal"});
  need(line, settings, {"queries", "keys", "heads", "size"});
  settings.emplace("kv", settings["heads"]);
  settings.emplace("causal", 0);
  LayerShape shape;
  shape.work = Work::attention;
  shape.heads = {.queries = settings["queries"],
                 .keys = settings["keys"],
                 .heads = settings["heads"],
                 .kv_heads = settings["kv"],
                 .size = settings["size"],
                 .causal = settings["causal"] != 0};
  const Heads& heads = shape.heads;
  if (heads.heads % heads.kv_heads != 0)
    line.fail(fmt::format("{} heads cannot share {}; kv= divides heads=", heads.heads, heads.kv_heads));
  if (settings["causal"] > 1) line.fail("causal= is 0 or 1");
  if (heads.causal && heads.keys < heads.queries) line.fail("causal queries are among the keys; keys= is too small");
  const double values = double(heads.heads) * double(heads.size) * double(std::max(heads.queries, heads.keys));
  if (values >= 0x1p30) line.fail("queries or keys have more than 2^30 values");
  shape.m = heads.queries;
  shape.n = 2 * heads.heads * heads.size;
  shape.k = heads.keys;
  return shape;
}

LayerShape planes_in(const Line& line, Work work) {
  std::vector<std::string> known = {"n", "c", "h", "w", "k", "s", "p"};
  if (work == Work::convolution) known.emplace_back("o");
  auto settings = settings_in(line, known);
  need(line, settings, {"c", "h", "w", "k"});
  const auto or_else = [&](const char* name, std::int64_t otherwise) {
    return settings.contains(name) ? settings[name] : otherwise;
  };
  LayerShape shape;
  shape.work = work;
  const std::int64_t kernel = settings["k"];
  shape.planes = {.batch = or_else("n", 1),
                  .channels = settings["c"],
                  .height = settings["h"],
                  .width = settings["w"],
                  .kernel = kernel,
                  .stride = or_else("s", 1),
                  .pad = or_else("p", kernel / 2),
                  .results = or_else("o", settings["c"])};
  const Planes& planes = shape.planes;
  if (std::min(planes.height, planes.width) + 2 * planes.pad < kernel)
    line.fail(fmt::format("a kernel of {0} x {0} does not fit into {1} x {2} with {3} zeros around", kernel,
                          planes.height, planes.width, planes.pad));
  if (double(planes.batch) * double(planes.channels + planes.results) * double(planes.height + 2 * planes.pad) *
          double(planes.width + 2 * planes.pad) >
      0x1p31)
    line.fail("the planes have more than 2^31 values");
  shape.m = planes.batch * planes.out_height() * planes.out_width();
  shape.n = planes.results;
  shape.k = kernel * kernel * (work == Work::convolution ? planes.channels : 1);
  return shape;
}

LayerShape shape_in(const Line& line) {
  LayerShape shape;
  if (line.words.front() == name_of(Work::depthwise))
    shape = planes_in(line, Work::depthwise);
  else if (line.words.front() == name_of(Work::convolution))
    shape = planes_in(line, Work::convolution);
  else if (line.words.front() == name_of(Work::rows))
    shape = rows_in(line);
  else if (line.words.front() == name_of(Work::attention))
    shape = attention_in(line);
  else
    shape = product_in(line);
  if (shape.n * shape.k >= std::int64_t(1) << 31)
    line.fail(fmt::format("{} x {} weights are too many; up to 2^31 are accepted", shape.n, shape.k));
  return shape;
}

}  // namespace

std::string_view name_of(Work work) {
  constexpr std::string_view kNames[] = {"product", "depthwise", "convolution", "convolution_of_codes",
                                         "rows",    "attention"};
  return kNames[std::size_t(work)];
}

double Heads::seen() const {
  return double(queries) * double(keys) - (causal ? double(queries) * double(queries - 1) / 2 : 0);
}

std::string to_text(const LayerShape& shape) {
  if (shape.work == Work::product) return fmt::format("{} x {} x {}", shape.m, shape.n, shape.k);
  if (shape.work == Work::rows) return fmt::format("{} x {}", shape.m, shape.k);
  if (shape.work == Work::attention) {
    const Heads& heads = shape.heads;
    const std::string shared = heads.kv_heads < heads.heads ? fmt::format(" on {}", heads.kv_heads) : "";
    return fmt::format("{} x {}, {}{} heads of {}{}", heads.queries, heads.keys, heads.heads, shared, heads.size,
                       heads.causal ? ", causal" : "");
  }
  const Planes& planes = shape.planes;
  const std::string batch = planes.batch > 1 ? fmt::format("{} x ", planes.batch) : "";
  const std::string results = planes.results != planes.channels ? fmt::format(" to {}", planes.results) : "";
  const std::string stride = planes.stride > 1 ? fmt::format(" / {}", planes.stride) : "";
  return fmt::format("{}{} x {} x {}{}, {} x {}{}{}", batch, planes.channels, planes.height, planes.width, results,
                     planes.kernel, planes.kernel, stride, shape.work == Work::convolution_of_codes ? ", codes" : "");
}

std::vector<LayerShape> parse_shapes(std::string_view text, std::string_view where) {
  std::vector<LayerShape> shapes;
  int number = 0;
  for (const std::string_view all : split(text, '\n')) {
    const std::size_t mark = std::min(all.find('#'), all.size());
    Line line{{}, fmt::format("{} line {}", where, ++number)};
    for (const std::string_view word : split(trimmed(all.substr(0, mark)), ' '))
      if (!word.empty()) line.words.push_back(word);
    if (line.words.empty()) continue;
    shapes.push_back(shape_in(line));
    if (mark < all.size()) shapes.back().comment = trimmed(all.substr(mark + 1));
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
