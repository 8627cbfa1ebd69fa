#include "workers/worker_main.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kernels/base/clock.h"
#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "kernels/base/text.h"
#include "workers/profile.h"
#include "workers/session.h"

namespace qb {

namespace fs = std::filesystem;

namespace {

constexpr double kPeakBudgetS = 2.0;

struct WorkerOptions {
  std::string connect, token_file, fingerprint, name, unit_file;
  std::vector<std::string> data;
  std::string cache, spool;
  bool once = false, profile = false, child = false;
  double idle_timeout_s = 0, death_timeout_s = 0, drain_s = 100;
};

void declare(CLI::App& app, WorkerOptions& options) {
  app.add_option("--connect", options.connect, "coordinator to work for, HOST:PORT");
  app.add_option("--token-file", options.token_file, "file with the coordinator's token");
  app.add_option("--fingerprint", options.fingerprint,
                 "SHA-256 of the coordinator's certificate; needed unless it is on loopback");
  app.add_option("--data", options.data, "folders in which model and data paths are looked up");
  app.add_option("--cache", options.cache,
                 "folder for fetched files (default: quantbench below the user's cache folder)");
  app.add_option("--spool", options.spool,
                 "folder for results that are not acknowledged yet (default: spool below the cache)");
  app.add_option("--name", options.name, "what people call this worker (default: host and process number)");
  app.add_flag("--once", options.once, "end after one unit");
  app.add_option("--idle-timeout", options.idle_timeout_s, "end after so many seconds without a unit")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--death-timeout", options.death_timeout_s, "give up after so many seconds without a coordinator")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--drain", options.drain_s, "seconds that the unit in progress may take after SIGTERM")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--unit", options.unit_file, "measure the unit in this JSON file and print the measurement");
  app.add_flag("--profile", options.profile, "print this machine's profile");
  app.add_flag("--child", options.child, "measure the one unit on standard input (used by the worker itself)");
}

std::string own_program() { return fs::read_symlink("/proc/self/exe").string(); }

std::string read_token(const std::string& path) {
  if (path.empty()) throw InputError("--token-file is missing; the coordinator writes it into its run folder");
  std::string token;
  try {
    token = trimmed(read_file(path, 4096));
  } catch (const DataError& error) {
    throw InputError(error.what());
  }
  if (token.empty() || token.find_first_of(" \r\n\t") != std::string::npos)
    throw InputError(fmt::format("token file '{}' must hold one word", path));
  return token;
}

std::vector<fs::path> roots_of(const WorkerOptions& options) {
  for (const std::string& folder : options.data)
    if (!fs::is_directory(folder)) throw InputError(fmt::format("data folder '{}' is not a folder", folder));
  return {options.data.begin(), options.data.end()};
}

HardwareProfile whole_profile() {
  HardwareProfile profile = read_profile();
  require_peaks(profile, default_cache_folder(), kPeakBudgetS);
  return profile;
}

int print_profile() {
  std::puts(to_json(whole_profile()).dump(2).c_str());
  return kExitDone;
}

/// Measures one unit as a worker would, and prints the record.
int measure_unit(const WorkerOptions& options) {
  const std::string where = fmt::format("unit file '{}'", options.unit_file);
  std::string text;
  try {
    text = read_file(options.unit_file, kBodyBytes);
  } catch (const DataError& error) {
    throw InputError(error.what());
  }
  const WorkUnit unit = unit_from_json(parse_json(text, where, Blame::user), where, Blame::user);
  const HardwareProfile profile = whole_profile();
  FileStore store(roots_of(options), options.cache);
  ChildJob job{unit, {}};
  for (const FileRef& ref : files_of(unit.model)) job.files[ref.sha256] = store.locate(ref).string();
  const std::string started = utc_text();
  const std::int64_t begin_ns = now_ns();
  Child child({{own_program(), "--child"}, unit.isa, unit.limits, canonical_text(to_json(job))});
  while (!child.serve(std::chrono::seconds(1))) {
  }
  Measurement result = outcome_of(child.end(), unit);
  result.machine_key = profile.machine_key;
  result.worker = options.name;
  result.started_utc = started;
  result.wall_s = double(now_ns() - begin_ns) * 1e-9;
  std::puts(canonical_text(to_json(result)).c_str());
  if (result.outcome != Outcome::ok)
    fmt::print(stderr, "quantbench-worker: unit {} is {}: {}\n", unit.id, name_of(result.outcome), result.reason);
  return result.outcome == Outcome::ok ? kExitDone : kExitFailedUnits;
}

int serve_coordinator(const WorkerOptions& options) {
  if (options.connect.empty())
    throw InputError("nothing to do: give --connect, --unit or --profile; --help explains them");
  SessionOptions session;
  session.endpoint = parse_endpoint(options.connect, read_token(options.token_file), options.fingerprint);
  session.roots = roots_of(options);
  session.name = options.name;
  session.cache = options.cache;
  session.spool = options.spool;
  session.child = {own_program(), "--child"};
  session.once = options.once;
  session.idle_timeout_s = options.idle_timeout_s;
  session.death_timeout_s = options.death_timeout_s;
  session.drain_s = options.drain_s;
  session.say = [name = options.name](const std::string& line) {
    fmt::print(stderr, "{} {}: {}\n", utc_text(), name, line);
  };
  session.profile = whole_profile();
  struct sigaction action {};
  action.sa_handler = [](int) { request_drain(); };
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  return run_session(session);
}

int dispatch(WorkerOptions options) {
  if (options.child) return run_child();
  if (options.cache.empty()) options.cache = default_cache_folder().string();
  if (options.spool.empty()) options.spool = (fs::path(options.cache) / "spool").string();
  if (options.name.empty()) options.name = fmt::format("{}/{}", read_profile().host, ::getpid());
  if (options.profile) return print_profile();
  return options.unit_file.empty() ? serve_coordinator(options) : measure_unit(options);
}

}  // namespace

int worker_main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  CLI::App app("Measures units of quantization benchmarks that a coordinator hands out.", "quantbench-worker");
  WorkerOptions options;
  declare(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitInput;
  }
  try {
    return dispatch(std::move(options));
  } catch (const InputError& error) {
    fmt::print(stderr, "quantbench-worker: {}\n", error.what());
    return kExitInput;
  } catch (const DataError& error) {
    fmt::print(stderr, "quantbench-worker: {}\n", error.what());
    return kExitData;
  } catch (const std::exception& error) {
    fmt::print(stderr, "quantbench-worker: {}\n", error.what());
    return kExitInput;
  }
}

}  // namespace qb
