#include "workers/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "kernels/base/clock.h"
#include "kernels/base/cpu.h"
#include "kernels/base/error.h"

extern char** environ;

namespace qb {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kGraceNs = 5 * kSecond;
constexpr std::size_t kMostHeard = 64 << 20;
constexpr std::size_t kComplaintBytes = 2000;
constexpr int kResultDescriptor = 3;

void close_quietly(int& descriptor) {
  if (descriptor >= 0) ::close(descriptor);
  descriptor = -1;
}

/// Both ends of a pipe, numbered high enough not to be in the way of descriptors 0 to 3.
std::array<int, 2> high_pipe() {
  std::array<int, 2> low{}, high{};
  if (::pipe2(low.data(), O_CLOEXEC) != 0)
    throw InputError(fmt::format("no pipe to a child: {}", std::strerror(errno)));
  for (std::size_t i = 0; i < 2; ++i) {
    high[i] = ::fcntl(low[i], F_DUPFD_CLOEXEC, 10);
    ::close(low[i]);
  }
  if (high[0] < 0 || high[1] < 0) throw InputError(fmt::format("no pipe to a child: {}", std::strerror(errno)));
  return high;
}

/// The narrower of the unit's cap and this process's own.
std::string narrower_cap(const std::string& wanted) {
  const char* own = std::getenv("QUANTBENCH_ISA");
  return own && *own && !includes(isa_cap(own), isa_cap(wanted)) ? own : wanted;
}

std::vector<std::string> environment_with(const std::string& isa) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable; ++variable)
    if (!std::string_view(*variable).starts_with("QUANTBENCH_ISA=")) variables.emplace_back(*variable);
  variables.push_back("QUANTBENCH_ISA=" + isa);
  return variables;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// Between fork and exec: only calls that are safe there.
[[noreturn]] void become(char* const* arguments, char* const* environment, int input, int output, int complaints,
                         std::int64_t memory_bytes) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::signal(SIGPIPE, SIG_DFL);
  ::dup2(input, STDIN_FILENO);
  ::dup2(complaints, STDOUT_FILENO);
  ::dup2(complaints, STDERR_FILENO);
  ::dup2(output, kResultDescriptor);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  const rlimit memory{rlim_t(memory_bytes), rlim_t(memory_bytes)};
  if (memory_bytes > 0) ::setrlimit(RLIMIT_AS, &memory);
  ::execve(arguments[0], arguments, environment);
  ::_exit(127);
}

/// Reads what is there, up to 4 MiB. False at the end of the stream.
bool read_ready(int descriptor, std::string& into) {
  std::array<char, 65536> chunk{};
  for (int i = 0; i < 64; ++i) {
    const ssize_t got = ::read(descriptor, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0;
    into.append(chunk.data(), std::size_t(got));
  }
  return true;
}

}  // namespace

Child::Child(const ChildCommand& command) : pending_(command.input) {
  QB_EXPECTS(!command.arguments.empty());
  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> variables = environment_with(narrower_cap(command.isa));
  const std::vector<char*> argument_pointers = pointers_to(arguments);
  const std::vector<char*> variable_pointers = pointers_to(variables);
  const std::array<int, 2> input = high_pipe(), output = high_pipe(), complaints = high_pipe();
  process_ = ::fork();
  if (process_ == 0)
    become(argument_pointers.data(), variable_pointers.data(), input[0], output[1], complaints[1],
           command.limits.memory_bytes);
  const int fault = errno;
  for (const int theirs : {input[0], output[1], complaints[1]}) ::close(theirs);
  input_ = input[1];
  output_ = output[0];
  complaints_ = complaints[0];
  for (const int ours : {input_, output_, complaints_}) ::fcntl(ours, F_SETFL, O_NONBLOCK);
  if (process_ < 0) {
    for (int* ours : {&input_, &output_, &complaints_}) close_quietly(*ours);
    throw InputError(fmt::format("no process for a unit: {}", std::strerror(fault)));
  }
  ::setpgid(process_, process_);  // also done by the child: whoever comes first
  deadline_ns_ = now_ns() + std::int64_t(command.limits.seconds * double(kSecond));
}

Child::~Child() {
  if (process_ > 0) {
    signal_group(SIGKILL);
    while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  for (int* descriptor : {&input_, &output_, &complaints_}) close_quietly(*descriptor);
}

void Child::signal_group(int signal) {
  if (process_ <= 0) return;
  ::kill(-process_, signal);
  ::kill(process_, signal);
}

void Child::stop() {
  if (kill_at_ns_ != 0) return;
  if (!end_.timed_out) end_.stopped = true;
  signal_group(SIGTERM);
  kill_at_ns_ = now_ns() + kGraceNs;
}

void Child::feed() {
  const ssize_t sent = ::write(input_, pending_.data(), pending_.size());
  if (sent < 0 && (errno == EINTR || errno == EAGAIN)) return;
  pending_.erase(0, sent < 0 ? pending_.size() : std::size_t(sent));  // a child that stopped reading needs no more
  if (pending_.empty()) close_quietly(input_);
}

void Child::hear() {
  if (output_ >= 0 && !read_ready(output_, heard_)) close_quietly(output_);
  if (heard_.size() > kMostHeard) close_quietly(output_);
  if (complaints_ >= 0 && !read_ready(complaints_, end_.complaint)) close_quietly(complaints_);
  if (end_.complaint.size() > 2 * kComplaintBytes) end_.complaint.erase(0, end_.complaint.size() - kComplaintBytes);
  take_lines();
}

void Child::take_lines() {
  for (std::size_t end = heard_.find('\n'); end != std::string::npos; end = heard_.find('\n')) {
    const std::string_view line = std::string_view(heard_).substr(0, end);
    if (line.starts_with("phase ")) {
      const std::int64_t now = now_ns();
      if (phase_ == "wait") deadline_ns_ += now - wait_since_ns_;
      phase_ = speakable(line.substr(6, 200));
      wait_since_ns_ = now;
    }
    if (line.starts_with("result ")) end_.result = line.substr(7);
    heard_.erase(0, end + 1);
  }
}

void Child::keep_time() {
  const std::int64_t now = now_ns();
  if (kill_at_ns_ == 0 && phase_ != "wait" && now >= deadline_ns_) {
    end_.timed_out = true;
    stop();
  }
  if (kill_at_ns_ != 0 && now >= kill_at_ns_) signal_group(SIGKILL);
}

/// True once the process is gone; what it left in its pipes is read, and what is left of its group is ended.
bool Child::collect() {
  int status = 0;
  const pid_t gone = ::waitpid(process_, &status, WNOHANG);
  if (gone == 0 || (gone < 0 && errno == EINTR)) return false;
  ::kill(-process_, SIGKILL);
  process_ = -1;
  for (int i = 0; i < 16 && (output_ >= 0 || complaints_ >= 0); ++i) hear();
  end_.complaint =
      speakable(end_.complaint.substr(end_.complaint.size() - std::min(end_.complaint.size(), kComplaintBytes)));
  if (WIFEXITED(status)) end_.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) end_.signal = WTERMSIG(status);
  return true;
}

bool Child::serve(std::chrono::milliseconds patience, int wake) {
  const std::int64_t until = now_ns() + std::int64_t(patience.count()) * 1'000'000;
  for (;;) {
    if (process_ <= 0 || collect()) return true;
    keep_time();
    const std::int64_t left_ms = (until - now_ns()) / 1'000'000;
    if (left_ms <= 0) return false;
    std::array<pollfd, 4> waits = {pollfd{input_, POLLOUT, 0}, pollfd{output_, POLLIN, 0},
                                   pollfd{complaints_, POLLIN, 0}, pollfd{wake, POLLIN, 0}};
    const int ready = ::poll(waits.data(), waits.size(), int(std::min<std::int64_t>(left_ms, 50)));
    if (ready > 0 && waits[3].revents != 0) return false;
    if (input_ >= 0 && waits[0].revents != 0) feed();
    hear();
  }
}

Measurement outcome_of(const ChildEnd& end, const WorkUnit& unit) {
  Measurement blank;
  blank.unit = unit.id;
  const auto settled = [&](Outcome outcome, const std::string& reason) {
    Measurement result = without_numbers(blank, outcome, reason);
    result.passing = outcome == Outcome::failed;  // the unit itself did not get to say so
    return result;
  };
  if (end.timed_out) return settled(Outcome::timed_out, fmt::format("not done after {} s", unit.limits.seconds));
  const std::string words = end.complaint.empty() ? "" : fmt::format("; it said: {}", end.complaint);
  if (end.signal != 0) {
    const char* guess = end.signal == SIGKILL && !end.stopped ? ", probably for want of memory" : "";
    return settled(Outcome::failed, fmt::format("the measuring process was ended by SIG{}{}{}",
                                                ::sigabbrev_np(end.signal), guess, words));
  }
  if (end.exit_code != 0 || end.result.empty())
    return settled(Outcome::failed, fmt::format("the measuring process ended with code {} and {} result{}",
                                                end.exit_code, end.result.empty() ? "no" : "a", words));
  try {
    Measurement result = measurement_from_json(parse_json(end.result, "result", Blame::peer), "result", Blame::peer);
    if (result.unit != unit.id) throw DataError(fmt::format("result: it is about unit {}", result.unit));
    return result;
  } catch (const DataError& error) {
    return settled(Outcome::failed, fmt::format("the measuring process sent no record: {}", error.what()));
  }
}

}  // namespace qb
