#include "harness/run_study.h"

#include <fmt/format.h>

#include <cstdio>
#include <optional>
#include <utility>

#include <boost/asio/ssl/context.hpp>

#include "harness/data_folders.h"
#include "harness/record_run.h"
#include "harness/run_loop.h"
#include "harness/table_output.h"
#include "harness/tls.h"
#include "kernels/base/clock.h"
#include "kernels/base/error.h"
#include "reports/record/run_file.h"
#include "workers/records/hardware_profile.h"

namespace qb {

namespace fs = std::filesystem;

namespace {

void say(const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); }

bool is_loopback(const std::string& address) { return address == "::1" || address.starts_with("127."); }

/// What protects a connection that leaves the machine; nothing on loopback.
std::unique_ptr<boost::asio::ssl::context> protection(const RunOptions& options) {
  if (is_loopback(options.bind)) return nullptr;
  const TlsFiles files = tls_files(options.out);
  std::error_code error;
  if (!fs::exists(files.certificate, error) || !fs::exists(files.key, error))
    throw InputError(fmt::format(
        "--bind {}: an address other than loopback needs TLS; make a certificate once with `quantbench serve --init-tls --out {}`",
        options.bind, options.out));
  return server_tls(files);
}

LocalLaunch local_launch(const RunFolder& folder, const DataRoots& roots, const RunOptions& options, std::uint16_t port,
                         int count) {
  LocalLaunch launch;
  launch.program = worker_program();
  launch.folder = folder.path;
  launch.count = count;
  const std::string host = is_loopback(options.bind) ? options.bind : "127.0.0.1";
  launch.arguments = {
      "--connect",
      host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port),
      "--token-file", fs::absolute(folder.token()).string()};
  for (const fs::path& root : roots.folders) launch.arguments.insert(launch.arguments.end(), {"--data", root.string()});
  if (!is_loopback(options.bind))
    launch.arguments.insert(launch.arguments.end(),
                            {"--fingerprint", certificate_fingerprint(tls_files(options.out).certificate)});
  return launch;
}

void say_beginning(const Coordinator& coordinator, const RunFolder& folder, const RunOptions& options,
                   std::uint16_t port, int workers) {
  const Scheduler& scheduler = coordinator.scheduler();
  const bool tls = !is_loopback(options.bind);
  if (!folder.set_aside.empty()) say(fmt::format("the earlier run is kept in {}", folder.set_aside));
  say(fmt::format(
      "study {}: {} units, {} excluded{}; run folder {}", coordinator.plan().study.name, scheduler.units(),
      coordinator.plan().excluded.size(),
      coordinator.settled_before() > 0 ? fmt::format(", {} settled before", coordinator.settled_before()) : "",
      folder.path.string()));
  say(fmt::format("live page {}://{}:{}/ (asks for the token in {})", tls ? "https" : "http", options.bind, port,
                  folder.token().string()));
  if (workers == 0) {
    say(fmt::format(
        "waiting for workers: quantbench-worker --connect HOST:{} --token-file TOKEN{}", port,
        tls ? fmt::format(" --fingerprint {}", certificate_fingerprint(tls_files(options.out).certificate)) : ""));
  }
}

/// Of a run that could not even begin.
void leave_no_trace(const RunFolder& folder) {
  std::error_code ignored;
  for (const fs::path& file : {folder.token(), folder.journal(), fs::path(folder.journal().string() + "-wal")})
    fs::remove(file, ignored);
  fs::remove(folder.path, ignored);  // only when nothing else is in it
}

std::string resume_command(const RunOptions& options) {
  std::string command = fmt::format("quantbench {} {}", options.serve ? "serve" : "run", shell_word(options.study));
  for (const std::string& folder : options.data) command += " --data " + shell_word(folder);
  if (options.out != "runs") command += " --out " + shell_word(options.out);
  for (const std::string& unit : options.units) command += " --unit " + unit;
  return command + " --resume";
}

/// Writes the run file, prints the table, and says what is to be said at the end.
int conclude(const Plan& plan, const Journal& journal, const RunFolder& folder, const RunOptions& options,
             const std::string& pending_reason) {
  const RunRecord record = record_run(plan, journal, pending_reason);
  write_run_file(folder.run_file(), record);
  print_table(record, options.format, stdout);
  say(fmt::format("run file {}", folder.run_file().string()));
  std::size_t failed = 0, pending = 0;
  for (const PlanRow& row : record.plan) {
    pending += row.status == "pending";
    failed += row.status == name_of(Outcome::failed) || row.status == name_of(Outcome::timed_out) ||
              row.status == name_of(Outcome::mistrusted);
  }
  if (failed > 0)
    say(fmt::format("{} of {} units failed; the run file's /plan has the reasons", failed, record.plan.size()));
  if (pending > 0)
    say(fmt::format("{} of {} units were not measured: {}", pending, record.plan.size(), pending_reason));
  return failed + pending > 0 ? kExitFailedUnits : kExitDone;
}

}  // namespace

int run_study(const RunOptions& options) {
  const DataRoots roots = data_roots(options.data);
  Plan plan = make_plan(read_study(options.study, roots));
  plan.data_options = options.data;
  if (!options.units.empty()) plan = only_units(plan, options.units);
  const auto tls = protection(options);
  const RunFolder folder = open_run_folder(options.out, plan, options.begin);
  Journal journal(folder.journal(),
                  {plan.run_id, plan.digest, plan.study.name, plan.study.text, read_profile().build, utc_text()});
  Coordinator coordinator(plan, journal, options.serve ? OldLeases::keep : OldLeases::take_back, now_ns());

  RunEnd end = RunEnd::settled;
  std::string pending_reason;
  if (!coordinator.scheduler().all_settled()) {
    LoopOptions loop_options;
    loop_options.bind = options.bind;
    loop_options.port = options.port;
    loop_options.token = run_token(folder.token(), options.serve ? TokenUse::keep : TokenUse::renew);
    loop_options.stop_when_unaccepted = !options.serve;
    loop_options.unaccepted_patience_s = options.unaccepted_patience_s;
    std::optional<RunLoop> listening;
    try {
      listening.emplace(coordinator, blobs_of(plan, roots), loop_options, tls.get());
    } catch (const InputError&) {
      if (coordinator.scheduler().last_epoch() == 0) leave_no_trace(folder);
      throw;
    }
    RunLoop& loop = *listening;
    const int workers = options.workers.value_or(options.serve ? 0 : plan.study.workers);
    say_beginning(coordinator, folder, options, loop.port(), workers);
    if (workers > 0) loop.launch(local_launch(folder, roots, options, loop.port(), workers));
    end = loop.run();
    pending_reason = coordinator.nobody_accepts(now_ns());
  }
  if (end == RunEnd::interrupted && !coordinator.scheduler().all_settled()) {
    say(fmt::format("{} of {} units are settled; go on with: {}", coordinator.scheduler().settled(),
                    coordinator.scheduler().units(), resume_command(options)));
    return kExitInterrupted;
  }
  return conclude(plan, journal, folder, options, pending_reason);
}

}  // namespace qb
