#include "kernels/bench/options.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "kernels/base/text.h"

namespace qb {

namespace {

const std::vector<std::string> kOptionNames = {"--table",        "--shapes=FILE",   "--formats=LIST",
                                               "--threads=LIST", "--kernels=LIST",  "--rounds=N",
                                               "--format=KIND",  "--document=FILE", "--goals=FILE"};
const std::vector<std::string> kOutputs = {"text", "markdown", "csv", "json"};  // in the order of Output
const std::vector<const char*> kTableShapes = {"square-4096.txt", "resnet-3x3.txt", "rows.txt", "depthwise.txt",
                                               "attention.txt"};  // where none are asked for
constexpr int kLeastRounds = 9;
constexpr int kMostRounds = 1001;

/// The text behind "--name=", if `argument` begins so.
std::optional<std::string_view> value_of(std::string_view argument, std::string_view name) {
  if (!argument.starts_with(name) || argument.substr(name.size(), 1) != "=") return std::nullopt;
  return argument.substr(name.size() + 1);
}

int number_in(std::string_view option, std::string_view text, int low, int high) {
  const auto number = parse_int(text);
  if (!number || *number < low || *number > high)
    throw InputError(fmt::format("{}={}: a number from {} to {} is accepted here", option, text, low, high));
  return int(*number);
}

ProductFormat format_in(std::string_view text) {
  try {
    return parse_product_format(text);
  } catch (const DataError& error) {
    const std::string near = nearest_name(text, default_formats());
    throw InputError(near.empty() ? error.what() : fmt::format("{}; did you mean '{}'?", error.what(), near));
  }
}

std::string kernel_in(std::string_view text) {
  std::vector<std::string> known = kernel_names();
  known.insert(known.end(), {"best", "peers", "reference", "all"});
  if (std::ranges::find(known, text) == known.end())
    throw InputError(fmt::format("--kernels: kernel '{}' is not known{}", text, suggestion(text, known)));
  return std::string(text);
}

Output output_in(std::string_view text) {
  const auto found = std::ranges::find(kOutputs, text);
  if (found == kOutputs.end())
    throw InputError(fmt::format("--format={}: that output is not known{}", text, suggestion(text, kOutputs)));
  return Output(found - kOutputs.begin());
}

/// Texts of the options that hold lists, and files, until all are seen.
struct Lists {
  std::vector<std::filesystem::path> shape_files;
  std::string formats = join(default_formats(), ","), plane_formats = join(default_plane_formats(), ",");
  std::string threads;
  std::string kernels = "best,peers";
};

bool take_value(std::string_view argument, Options& options, Lists& lists) {
  if (const auto file = value_of(argument, "--shapes"))
    lists.shape_files.emplace_back(*file);
  else if (const auto formats = value_of(argument, "--formats"))
    lists.formats = lists.plane_formats = *formats;
  else if (const auto threads = value_of(argument, "--threads"))
    lists.threads = *threads;
  else if (const auto kernels = value_of(argument, "--kernels"))
    lists.kernels = *kernels;
  else if (const auto rounds = value_of(argument, "--rounds"))
    options.rounds = number_in("--rounds", *rounds, kLeastRounds, kMostRounds);
  else if (const auto output = value_of(argument, "--format"))
    options.output = output_in(*output);
  else if (const auto document = value_of(argument, "--document"))
    options.document = *document;
  else if (const auto goals = value_of(argument, "--goals"))
    options.goals = *goals;
  else
    return false;
  return true;
}

}  // namespace

const char* const kUsage =
    "quantbench-kernels: measures every kernel, proves each result first\n"
    "  --table           families, formats, shapes and threads in interleaved rounds, one line per kernel\n"
    "  --format=KIND     of the table: text (default), markdown, csv, json (with every round)\n"
    "  --document=FILE   writes the table with the goals of --goals=FILE as a page\n"
    "  --kernels=LIST    of the table: kernel names, best, peers, reference, all (default: best,peers)\n"
    "  --rounds=N        of the table, at least 9 (default: 9)\n"
    "  --shapes=FILE     a shape per line, as in configs/shapes; may be repeated (default: square-4096.txt,\n"
    "                    resnet-3x3.txt, depthwise.txt, rows.txt and attention.txt for the table, else all of\n"
    "                    configs/shapes)\n"
    "  --formats=LIST    weight formats, separated by commas (default: of products all that have a family, of\n"
    "                    convolutions f32, bf16 and q8c); -a8g32 behind one: activations with a scale per 32\n"
    "                    columns (64, 128, 256)\n"
    "  --threads=LIST    threads per product (default: 1,2 for the table where there are two, else 1)\n"
    "Without --table and --document: Google Benchmark's report and options, among them\n"
    "  --benchmark_filter=REGEX  --benchmark_min_time=SECONDS (default: 0.1)  --benchmark_repetitions=N\n"
    "  --benchmark_format=json  --benchmark_out=FILE\n";

std::vector<std::string> default_formats() {
  return {"f32",
          "bf16",
          "q8c",
          "q8g32.f16",
          "q4g32",
          "q4g128",
          "q4c",
          "q2c",
          "ternaryc",
          "tritc",
          "e2m1g32.e8m0",
          "nf4g64",
          "t4c",
          "iq4nlg32.f16",
          "e4m3c",
          "e5m2c",
          "e4m3g32.e8m0",
          "e2m1g16.e4m3",
          "binaryc",
          "q6g16.i8",
          "q5g32o.i6",
          "q4g32o.i6",
          "q3g32",
          "q3g16.i6",
          "q2g16o.i4",
          "t8c",
          "q4g32-a8g32",
          "q8g32.f16-a8g32",
          "e2m1g32.e8m0-a8g32"};
}

std::vector<std::string> default_plane_formats() { return {"f32", "bf16", "q8c"}; }

Options read_options(const std::vector<std::string_view>& arguments, const std::filesystem::path& shapes_folder) {
  Options options;
  Lists lists;
  for (const std::string_view argument : arguments) {
    if (argument == "--table")
      options.table = true;
    else if (!take_value(argument, options, lists))
      throw InputError(fmt::format("option '{}' is not known{}", argument, suggestion(argument, kOptionNames)));
  }
  if (options.document.empty() != options.goals.empty())
    throw InputError("--document and --goals are asked for together: the page says which goals are met");
  const bool table = options.table || !options.document.empty();
  if (lists.threads.empty()) lists.threads = table && hardware_threads() > 1 ? "1,2" : "1";
  for (const std::string_view text : split(lists.formats, ',')) options.formats.push_back(format_in(text));
  for (const std::string_view text : split(lists.plane_formats, ','))
    if (const ProductFormat format = format_in(text); format.activation_group == 0)
      options.plane_formats.push_back(format.weights);
  for (const std::string_view text : split(lists.kernels, ',')) options.kernels.push_back(kernel_in(text));
  for (const std::string_view text : split(lists.threads, ','))
    options.threads.push_back(number_in("--threads", text, 1, hardware_threads()));
  if (lists.shape_files.empty() && table)
    for (const char* file : kTableShapes) lists.shape_files.push_back(shapes_folder / file);
  if (lists.shape_files.empty()) lists.shape_files = shape_files(shapes_folder);
  for (const std::filesystem::path& file : lists.shape_files)
    for (const LayerShape& shape : read_shapes(file)) options.shapes.push_back(shape);
  return options;
}

}  // namespace qb
