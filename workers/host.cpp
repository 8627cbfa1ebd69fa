#include "workers/host.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>

#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace qb {

namespace {

constexpr const char* kHostFile = "/tmp/quantbench-host.lock";  ///< held while computing (shared) or timing (alone)
constexpr const char* kTurnFile =
    "/tmp/quantbench-turn.lock";  ///< held while waiting for the other, so that turns are kept

/// A descriptor of `path` that holds its flock; the caller closes it.
int locked(const char* path, int operation) {
  // Opened for reading where another user made it: flock needs no right to write.
  int descriptor = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor < 0) descriptor = ::open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0)
    throw InputError(
        fmt::format("file '{}', which keeps timed sections alone, cannot be opened: {}", path, std::strerror(errno)));
  while (::flock(descriptor, operation) != 0) {
    if (errno == EINTR) continue;
    const std::string reason = std::strerror(errno);
    ::close(descriptor);
    throw InputError(fmt::format("file '{}' cannot be locked: {}", path, reason));
  }
  return descriptor;
}

/// The first processor of the core that `processor` belongs to; itself where the system does not say.
int core_of(int processor) {
  std::ifstream file(fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", processor));
  int first = processor;
  file >> first;
  return first;
}

}  // namespace

HostLock::HostLock(Use use) {
  const int operation = use == Use::timing ? LOCK_EX : LOCK_SH;
  const int turn = locked(kTurnFile, operation);
  try {
    descriptor_ = locked(kHostFile, operation);
  } catch (...) {
    ::close(turn);
    throw;
  }
  ::close(turn);
}

HostLock::~HostLock() { ::close(descriptor_); }

std::vector<int> choose_processors(int threads) {
  QB_EXPECTS(threads >= 1);
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0)
    throw Unsupported(fmt::format("the processors of this process cannot be read: {}", std::strerror(errno)));
  std::vector<int> firsts, siblings;
  std::set<int> cores;
  for (int processor = CPU_SETSIZE - 1; processor >= 0; --processor)
    if (CPU_ISSET(processor, &allowed))
      (cores.insert(core_of(processor)).second ? firsts : siblings).push_back(processor);
  firsts.insert(firsts.end(), siblings.begin(), siblings.end());
  if (std::ssize(firsts) < threads)
    throw Unsupported(
        fmt::format("{} threads need as many processors, but this process may use {}", threads, firsts.size()));
  firsts.resize(std::size_t(threads));
  return firsts;
}

Pinned::Pinned(int threads, const std::vector<int>& processors) : threads_(threads), old_mask_(sizeof(cpu_set_t)) {
  QB_EXPECTS(std::ssize(processors) >= threads);
  if (::sched_getaffinity(0, sizeof(cpu_set_t), reinterpret_cast<cpu_set_t*>(old_mask_.data())) != 0)
    throw Unsupported(fmt::format("the processors of this process cannot be read: {}", std::strerror(errno)));
  std::atomic<bool> refused = false;
  parallel_for(threads, threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(processors[std::size_t(i)], &one);
      if (::sched_setaffinity(0, sizeof one, &one) != 0 || ::sched_getcpu() != processors[std::size_t(i)])
        refused = true;
    }
  });
  if (refused) throw Unsupported("the system does not let threads be bound to processors");
}

Pinned::~Pinned() {
  parallel_for(threads_, threads_, 1, [this](std::int64_t, std::int64_t) {
    ::sched_setaffinity(0, sizeof(cpu_set_t), reinterpret_cast<const cpu_set_t*>(old_mask_.data()));
  });
}

#if defined(__x86_64__)

CacheFlush::CacheFlush(std::int64_t) {}

void CacheFlush::operator()(std::span<const std::byte> memory) {
  constexpr std::size_t kLine = 64;
  for (std::size_t at = 0; at < memory.size(); at += kLine) _mm_clflush(memory.data() + at);
  if (!memory.empty()) _mm_clflush(&memory.back());
}

void CacheFlush::finish() { _mm_mfence(); }

#else

CacheFlush::CacheFlush(std::int64_t last_level_bytes)
    : pool_(std::size_t(std::max<std::int64_t>(last_level_bytes, 16 << 20)) * 2) {}

void CacheFlush::operator()(std::span<const std::byte>) {}

void CacheFlush::finish() {
  volatile std::byte* bytes = pool_.data();
  for (std::size_t at = 0; at < pool_.size(); at += 64) bytes[at] = std::byte(at);
}

#endif

}  // namespace qb
