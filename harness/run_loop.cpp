#include "harness/run_loop.h"

#include <fmt/format.h>

#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <thread>

#include "kernels/base/clock.h"
#include "kernels/base/error.h"

namespace qb {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto kStep = 100ms;
constexpr auto kFarewell = 2s;  ///< for workers to hear that the run is over
constexpr auto kTermination = 3s;

}  // namespace

RunLoop::RunLoop(Coordinator& coordinator, Api::Blobs blobs, const LoopOptions& options, asio::ssl::context* tls)
    : coordinator_(coordinator),
      options_(options),
      api_(context_, coordinator, std::move(blobs), options.token),
      server_(context_, options.bind, options.port, options.limits, api_.handlers(), tls),
      signals_(context_, SIGINT, SIGTERM),
      timer_(context_) {
  api_.set_figures([this] {
    const HttpCounters& c = server_.counters();
    return HttpFigures{server_.open_connections(),
                       c.connections,
                       c.refused_connections,
                       c.requests,
                       c.bad_requests,
                       c.failed_logins,
                       c.timeouts};
  });
}

void RunLoop::launch(LocalLaunch launch) { local_ = std::make_unique<LocalWorkers>(std::move(launch), now_ns()); }

RunEnd RunLoop::run() {
  on_signal();
  wait_for_step();
  context_.run();
  display_.clear();
  if (failure_) std::rethrow_exception(failure_);
  stop_workers();
  server_.close();
  return *end_;
}

void RunLoop::wait_for_step() {
  timer_.expires_after(kStep);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    try {
      step();
    } catch (...) {
      failure_ = std::current_exception();
    }
    if (failure_ || end_)
      context_.stop();
    else
      wait_for_step();
  });
}

void RunLoop::step() {
  const std::int64_t now = now_ns();
  coordinator_.tick(now);
  if (local_)
    for (const std::string& name : local_->poll(/*replace=*/!coordinator_.over(), now))
      coordinator_.worker_ended(name, now);
  api_.flush();
  if (coordinator_.storage_fault() != storage_fault_said_) {
    storage_fault_said_ = coordinator_.storage_fault();
    display_.say(storage_fault_said_.empty()
                     ? "the journal can be written again; the run goes on"
                     : storage_fault_said_ + "; nothing is granted or acknowledged until there is room");
  }
  end_ = decide(now);
  if (!end_ && display_.due(now)) display_.show(progress_line(coordinator_, display_.width(), now), now);
}

std::optional<RunEnd> RunLoop::decide(std::int64_t now) {
  if (interrupts_ > 1) return RunEnd::interrupted;
  if (coordinator_.uncommitted()) return std::nullopt;
  if (coordinator_.scheduler().all_settled()) return RunEnd::settled;
  if (coordinator_.draining()) {
    const bool nobody_left = local_ && local_->running() == 0;
    return coordinator_.scheduler().leased() == 0 || nobody_left ? std::optional(RunEnd::interrupted) : std::nullopt;
  }
  if (local_ && local_->exhausted())
    throw InputError(fmt::format("every local worker ended and was started again too often; the last one said: {}",
                                 local_->last_words()));
  if (!options_.stop_when_unaccepted || coordinator_.workers().empty() || !coordinator_.only_unaccepted_left(now)) {
    unaccepted_since_ns_ = -1;
    return std::nullopt;
  }
  if (unaccepted_since_ns_ < 0) unaccepted_since_ns_ = now;
  const double waited_s = double(now - unaccepted_since_ns_) * 1e-9;
  return waited_s >= options_.unaccepted_patience_s ? std::optional(RunEnd::unaccepted) : std::nullopt;
}

void RunLoop::on_signal() {
  signals_.async_wait([this](const boost::system::error_code& error, int) {
    if (error) return;
    if (++interrupts_ == 1) {
      coordinator_.drain();
      display_.say(fmt::format("stopping: {} units that run now may end; interrupt again to end at once",
                               coordinator_.scheduler().leased()));
    }
    on_signal();
  });
}

/// Lets workers hear that the run is over, then ends the local ones: TERM, a moment, KILL.
void RunLoop::stop_workers() {
  coordinator_.drain();
  const auto wait = [&](std::chrono::milliseconds patience) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while ((local_ ? local_->running() > 0 : server_.open_connections() > 0) &&
           std::chrono::steady_clock::now() < until) {
      context_.restart();
      context_.run_for(20ms);
      if (local_) local_->poll(/*replace=*/false, now_ns());
    }
  };
  wait(interrupts_ > 1 ? 0ms : std::chrono::milliseconds(kFarewell));
  if (!local_) return;
  local_->signal(SIGTERM);
  wait(kTermination);
  local_.reset();
}

}  // namespace qb
