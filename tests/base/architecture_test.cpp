// The house rules that a machine can check.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace fs = std::filesystem;

namespace {

constexpr std::array<std::string_view, 6> kTopDown = {"harness",    "reports", "workers",
                                                      "quantizers", "models",  "kernels"};

std::ptrdiff_t floor_of(std::string_view folder) {
  return std::find(kTopDown.begin(), kTopDown.end(), folder) - kTopDown.begin();
}

std::vector<fs::path> sources(const std::vector<std::string_view>& folders) {
  std::vector<fs::path> found;
  for (const std::string_view folder : folders)
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(fs::path(QB_SOURCE_ROOT) / folder)) {
      const std::string extension = entry.path().extension().string();
      if (entry.is_regular_file() && (extension == ".h" || extension == ".cpp")) found.push_back(entry.path());
    }
  REQUIRE(found.size() > 20);
  return found;
}

const std::vector<std::string_view> kFolders(kTopDown.begin(), kTopDown.end());

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

std::string place_of(const fs::path& path) { return fs::relative(path, QB_SOURCE_ROOT).generic_string(); }

}  // namespace

TEST_CASE("includes point downward only") {
  for (const fs::path& path : sources(kFolders)) {
    const std::string own = place_of(path).substr(0, place_of(path).find('/'));
    for (const std::string& line : lines_of(path)) {
      if (!line.starts_with("#include \"")) continue;
      const std::string target = line.substr(10, line.find('"', 10) - 10);
      if (target.ends_with(".pb.h")) continue;  // made at build time beside its .proto
      const std::string folder = target.substr(0, target.find('/'));
      const bool known = floor_of(folder) < std::ssize(kTopDown);
      CHECK_MESSAGE((known && floor_of(own) <= floor_of(folder)), fmt::format("{}: {}", place_of(path), line));
      if (place_of(path).starts_with("kernels/base/"))
        CHECK_MESSAGE(target.starts_with("kernels/base/"), fmt::format("{}: {}", place_of(path), line));
    }
  }
}

TEST_CASE("a library is used in its own room") {
  struct Rule {
    std::string_view include, room;
  };
  constexpr std::array kRules = {
      Rule{"<hdf5", "reports/record/"}, Rule{"<sqlite3", "harness/"}, Rule{"<benchmark/", "/bench/"},
      Rule{"<omp.h>", "kernels/base/"}, Rule{"<zlib.h>", "models/"},  Rule{"<google/protobuf", "models/"},
  };
  for (const fs::path& path : sources(kFolders))
    for (const std::string& line : lines_of(path))
      for (const Rule& rule : kRules)
        if (line.starts_with("#include " + std::string(rule.include)))
          CHECK_MESSAGE(place_of(path).find(rule.room) != std::string::npos,
                        fmt::format("{}: {}", place_of(path), line));
}

TEST_CASE("a type's name stands in one header only") {
  std::map<std::string, std::string> where;
  for (const fs::path& path : sources(kFolders)) {
    if (path.extension() != ".h") continue;
    for (const std::string& line : lines_of(path)) {
      std::istringstream words(line);
      std::string kind, name;
      words >> kind >> name;
      if (kind == "enum" && name == "class") words >> name;
      if ((kind != "struct" && kind != "class" && kind != "enum") || line.ends_with(";") || !line.starts_with(kind))
        continue;
      const auto [first, fresh] = where.emplace(name, place_of(path));
      CHECK_MESSAGE(fresh, fmt::format("{} stands in {} and in {}", name, first->second, place_of(path)));
    }
  }
  CHECK(where.size() > 50);
}

TEST_CASE("threads are started by parallel_for only") {
  for (const fs::path& path : sources(kFolders)) {
    if (place_of(path) == "kernels/base/parallel.cpp") continue;
    for (const std::string& line : lines_of(path))
      CHECK_MESSAGE(line.find("#pragma omp parallel") == std::string::npos,
                    fmt::format("{}: {}", place_of(path), line));
  }
}

TEST_CASE("files stay small and have names that say something") {
  std::vector<std::string_view> folders = kFolders;
  folders.emplace_back("tests");
  for (const fs::path& path : sources(folders)) {
    CHECK_MESSAGE(lines_of(path).size() <= 400, place_of(path));
    for (const std::string_view word : {"util", "common", "helper", "manager", "misc"})
      CHECK_MESSAGE(path.filename().string().find(word) == std::string::npos, place_of(path));
  }
}

TEST_CASE("every room has a page that introduces it") {
  for (const char* folder : {"harness", "reports", "workers", "quantizers", "models", "kernels", "configs", "tests"})
    CHECK_MESSAGE(fs::exists(fs::path(QB_SOURCE_ROOT) / folder / "README.md"), folder);
}
