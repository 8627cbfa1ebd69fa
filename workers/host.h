// What a timed section needs of its host: to be alone, to stay where it is, and to start cold when asked.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/buffer.h"

namespace qb {

/// What a process does with its host. Computing goes on beside other computing; a timed section is alone with the host:
/// nobody computes beside it, and nobody who came after it goes before it. Locks are flocks on files that all users'
/// workers share; the system lets go of them when the process ends, however it ends.
class HostLock {
 public:
  enum class Use : std::uint8_t { compute, timing };

  explicit HostLock(Use use);  ///< waits; throws InputError naming the file when it cannot be opened
  ~HostLock();
  HostLock(const HostLock&) = delete;
  HostLock& operator=(const HostLock&) = delete;

 private:
  int descriptor_ = -1;
};

/// Processors for `threads` threads out of those this process may use: one per core first, the last ones first, because
/// the first serves most interrupts. Throws Unsupported when there are fewer.
std::vector<int> choose_processors(int threads);

/// Binds the threads of parallel_for(threads) to one processor each and gives every thread its old mask back at the
/// end.
class Pinned {
 public:
  Pinned(int threads, const std::vector<int>& processors);  ///< throws Unsupported when the system refuses
  ~Pinned();
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;

 private:
  int threads_;
  std::vector<unsigned char> old_mask_;
};

/// Puts memory out of all caches: by cache-line flushes where the processor has them for programs, else by writing over
/// a pool of twice `last_level_bytes`.
class CacheFlush {
 public:
  explicit CacheFlush(std::int64_t last_level_bytes);
  void operator()(std::span<const std::byte> memory);
  void finish();  ///< after the last span: waits until the flushes are done

 private:
  Buffer pool_;
};

}  // namespace qb
