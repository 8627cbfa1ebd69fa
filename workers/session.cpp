#include "workers/session.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>

#include "kernels/base/clock.h"
#include "kernels/base/error.h"
#include "workers/spool.h"

namespace qb {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kPatience = 30s;
constexpr std::chrono::milliseconds kRenewPatience = 5s;

double now_s() { return double(now_ns()) * 1e-9; }

std::atomic<int> drain_requests = 0;

/// A pipe whose reading end wakes waits when a drain is requested. Made once per process.
const std::array<int, 2>& drain_pipe() {
  static const std::array<int, 2> ends = [] {
    std::array<int, 2> made{-1, -1};
    QB_EXPECTS(::pipe2(made.data(), O_CLOEXEC | O_NONBLOCK) == 0);
    return made;
  }();
  return ends;
}

/// Makes waits sleep again; how many requests there were is counted apart.
void empty_drain_pipe() {
  std::array<char, 64> requests{};
  while (::read(drain_pipe()[0], requests.data(), requests.size()) > 0) {
  }
}

std::string random_text() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", device(), device(), device(), device());
}

/// What the coordinator's answer means for the session as a whole.
struct RunOver {};
struct UnknownWorker {};

class Session {
 public:
  explicit Session(const SessionOptions& options)
      : options_(options),
        client_(options.endpoint),
        spool_(options.spool),
        store_(options.roots, options.cache,
               [this](const FileRef& ref, const auto& path) { fetch_blob(client_, ref, path); }),
        incarnation_(random_text()),
        backoff_(std::random_device{}()),
        contact_s_(now_s()),
        busy_s_(now_s()) {}

  int run();

 private:
  Json ask(const std::string& target, const Json& body, std::chrono::milliseconds patience, int& status);
  void register_worker();
  void deliver();
  std::vector<Lease> lease();
  void work(const Lease& lease);
  std::optional<Measurement> measure(const Lease& lease);
  std::optional<Measurement> watch(const Lease& lease, Child& child);
  bool renew(const Lease& lease, const std::string& phase, Heartbeat& heartbeat);
  ChildJob job_of(const WorkUnit& unit);
  void pause(double seconds);
  bool draining() const { return drain_requests.load() > drained_before_; }

  const SessionOptions& options_;
  HttpClient client_;
  Spool spool_;
  FileStore store_;
  std::string incarnation_, worker_;
  Backoff backoff_;
  double contact_s_, busy_s_;
  int drained_before_ = drain_requests.load();
  bool done_ = false;
};

/// One request. Statuses that end or change the session are thrown; others are the caller's to judge.
Json Session::ask(const std::string& target, const Json& body, std::chrono::milliseconds patience, int& status) {
  const HttpAnswer answer = client_.post(target, body, patience);
  status = answer.status;
  if (status == 410) throw RunOver{};
  if (status == 401 || status == 403)
    throw InputError("the coordinator refuses the token; use the token file of its run folder");
  if (status == 404) throw UnknownWorker{};
  if (status == 429 || status >= 500) throw LinkError(fmt::format("the coordinator answers {}", status));
  contact_s_ = now_s();
  backoff_.reset();
  if (status >= 400 || answer.body.empty()) return Json(answer.body.substr(0, 500));
  return parse_json(answer.body, "the coordinator's answer", Blame::peer);
}

void Session::register_worker() {
  int status = 0;
  const Json answer =
      ask("/v1/workers", to_json(Registration{kProtocolVersion, options_.name, incarnation_, options_.profile}),
          kPatience, status);
  if (status >= 400)
    throw InputError(fmt::format("the coordinator refuses this worker: {}", speakable(answer.get<std::string>())));
  worker_ = registration_answer_from_json(answer, "the coordinator's answer", Blame::peer).worker;
  options_.say(fmt::format("registered as {}", worker_));
}

/// Sends what the spool holds, one by one: a refused result must not hold up the others.
void Session::deliver() {
  for (const Measurement& result : spool_.waiting()) {
    int status = 0;
    const Json answer = ask("/v1/results", results_to_json(worker_, {result}), kPatience, status);
    if (status != 200) {
      options_.say(
          fmt::format("unit {}: the coordinator refuses the result: {}", result.unit, speakable(answer.dump())));
      spool_.acknowledged(result);
      continue;
    }
    const std::vector<ResultAnswer> verdicts =
        result_answers_from_json(answer, "the coordinator's answer", Blame::peer);
    if (verdicts.size() != 1)
      throw DataError("the coordinator's answer: one result was sent, so one verdict is expected");
    options_.say(fmt::format("unit {}: {} → {} {}", result.unit, name_of(result.outcome), name_of(verdicts[0].verdict),
                             speakable(verdicts[0].reason)));
    spool_.acknowledged(result);
  }
}

std::vector<Lease> Session::lease() {
  int status = 0;
  const auto patience = kPatience + std::chrono::milliseconds(std::int64_t(options_.lease_wait_s * 1000));
  const Json answer = ask("/v1/leases", to_json(LeaseRequest{worker_, options_.lease_wait_s, 1}), patience, status);
  if (status == 204) return {};
  if (status != 200) throw LinkError(fmt::format("the coordinator answers {}", status));
  return leases_from_json(answer, "the coordinator's answer", Blame::peer);
}

/// One heartbeat. False when the lease is no longer ours.
bool Session::renew(const Lease& lease, const std::string& phase, Heartbeat& heartbeat) {
  const double sent_s = now_s();
  heartbeat.sent(sent_s);
  try {
    int status = 0;
    ask("/v1/leases/" + lease.unit.id + "/renew", to_json(RenewRequest{worker_, lease.epoch, phase}), kRenewPatience,
        status);
    if (status == 409) return false;
    if (status < 300) heartbeat.acknowledged(sent_s);
  } catch (const UnknownWorker&) {
    try {
      register_worker();
    } catch (const LinkError&) {
    }
  } catch (const LinkError&) {
    // Not acknowledged; silence_s decides how long that may go on.
  } catch (const DataError&) {
  }
  return true;
}

ChildJob Session::job_of(const WorkUnit& unit) {
  ChildJob job{unit, {}};
  for (const FileRef& ref : files_of(unit.model)) job.files[ref.sha256] = store_.locate(ref).string();
  return job;
}

/// Watches the child to its end. Nothing when the unit is not ours any more or is abandoned.
std::optional<Measurement> Session::watch(const Lease& lease, Child& child) {
  Heartbeat heartbeat(options_.heartbeat_s, options_.silence_s, now_s());
  std::optional<double> drain_until_s;
  for (;;) {
    const double left_s = std::clamp(heartbeat.next_s() - now_s(), 0.0, 1.0);
    if (child.serve(std::chrono::milliseconds(1 + std::int64_t(left_s * 1000)), drain_pipe()[0])) break;
    empty_drain_pipe();
    if (draining() && !drain_until_s) drain_until_s = now_s() + options_.drain_s;
    const bool hurried = drain_requests.load() > drained_before_ + 1;
    if (hurried || (drain_until_s && now_s() >= *drain_until_s)) return std::nullopt;
    if (now_s() >= heartbeat.next_s() && !renew(lease, child.phase(), heartbeat)) {
      options_.say(fmt::format("unit {}: the lease is lost, so the work ends", lease.unit.id));
      return std::nullopt;
    }
    if (heartbeat.silent(now_s())) {
      options_.say(fmt::format("unit {}: the coordinator was silent for {} s, so the work ends", lease.unit.id,
                               options_.silence_s));
      return std::nullopt;
    }
  }
  return outcome_of(child.end(), lease.unit);
}

std::optional<Measurement> Session::measure(const Lease& lease) {
  ChildJob job;
  try {
    job = job_of(lease.unit);
  } catch (const std::runtime_error& error) {
    if (dynamic_cast<const LinkError*>(&error)) throw;
    Measurement blank;
    blank.unit = lease.unit.id;
    Measurement result = without_numbers(blank, Outcome::failed, error.what());
    result.passing = true;  // another worker may have the files
    return result;
  }
  Child child({options_.child, lease.unit.isa, lease.unit.limits, canonical_text(to_json(job))});
  return watch(lease, child);
}

void Session::work(const Lease& lease) {
  const std::string started = utc_text();
  const double begin_s = now_s();
  std::optional<Measurement> result = measure(lease);
  busy_s_ = now_s();
  if (!result) return;
  result->worker = worker_;
  result->epoch = lease.epoch;
  result->machine_key = options_.profile.machine_key;
  result->started_utc = started;
  result->wall_s = now_s() - begin_s;
  spool_.keep(*result);
  done_ = options_.once;
}

void Session::pause(double seconds) {
  pollfd wait{drain_pipe()[0], POLLIN, 0};
  ::poll(&wait, 1, int(seconds * 1000) + 1);
}

int Session::run() {
  while (!draining()) {
    try {
      if (worker_.empty()) register_worker();
      deliver();
      if (done_) return kExitDone;
      const std::vector<Lease> leases = lease();
      for (const Lease& lease : leases) work(lease);
      if (leases.empty() && options_.idle_timeout_s > 0 && now_s() - busy_s_ >= options_.idle_timeout_s)
        return kExitDone;
    } catch (const RunOver&) {
      options_.say("the run is over");
      return kExitDone;
    } catch (const UnknownWorker&) {
      worker_.clear();
      pause(backoff_.next_s());
    } catch (const LinkError& error) {
      const double alone_s = now_s() - contact_s_;
      if (options_.death_timeout_s > 0 && alone_s >= options_.death_timeout_s)
        throw InputError(fmt::format("no coordinator for {:.0f} s, so the worker ends: {}", alone_s, error.what()));
      pause(backoff_.next_s());
    } catch (const DataError& error) {
      options_.say(error.what());
      pause(backoff_.next_s());
    }
  }
  try {
    if (!worker_.empty()) deliver();  // what cannot be sent now stays in the spool for the next start
  } catch (const RunOver&) {
  } catch (const UnknownWorker&) {
  } catch (const std::runtime_error& error) {
    options_.say(error.what());
  }
  return kExitDone;
}

}  // namespace

void request_drain() {
  ++drain_requests;
  const ssize_t ignored = ::write(drain_pipe()[1], "x", 1);
  static_cast<void>(ignored);
}

int run_session(const SessionOptions& options) {
  QB_EXPECTS(!options.child.empty() && options.say);
  empty_drain_pipe();
  return Session(options).run();
}

}  // namespace qb
