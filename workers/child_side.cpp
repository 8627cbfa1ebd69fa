// The measuring process: what it is told, and what it says.
#include <unistd.h>

#include <cerrno>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "kernels/base/error.h"
#include "workers/child.h"
#include "workers/records/record_fields.h"
#include "workers/run_unit.h"

namespace qb {

namespace {

constexpr int kResultDescriptor = 3;

/// One line to the supervising process. Without a listener there is nothing left to do.
void tell(const std::string& line) {
  for (std::string_view rest = line; !rest.empty();) {
    const ssize_t sent = ::write(kResultDescriptor, rest.data(), rest.size());
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) ::_exit(kExitData);
    rest.remove_prefix(std::size_t(sent));
  }
}

}  // namespace

Json to_json(const ChildJob& job) { return {{"unit", to_json(job.unit)}, {"files", job.files}}; }

ChildJob job_from_json(const Json& value, const std::string& where) {
  Fields fields(value, where, Blame::peer);
  ChildJob job;
  job.unit = unit_from_json(fields.at("unit"), where + ".unit", Blame::peer);
  Fields files(fields.at("files"), where + ".files", Blame::peer);
  for (const auto& [digest, path] : fields.at("files").items()) job.files[digest] = files.text(digest);
  fields.done();
  return job;
}

int run_child() {
  const std::string text((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
  const ChildJob job = job_from_json(parse_json(text, "the job", Blame::peer), "the job");
  const FileSource files = [&](const FileRef& ref) -> std::filesystem::path {
    const auto found = job.files.find(ref.sha256);
    if (found == job.files.end())
      throw DataError(fmt::format("the job: it does not say where file '{}' lies", ref.path));
    return found->second;
  };
  const Measurement result =
      run_unit(job.unit, files, [](std::string_view phase) { tell(fmt::format("phase {}\n", phase)); });
  tell("result " + canonical_text(to_json(result)) + "\n");
  return kExitDone;
}

}  // namespace qb
