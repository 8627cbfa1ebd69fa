// The only place that uses OpenMP.
#pragma once
#include <cstdint>
#include <functional>

namespace qb {

/// Calls body(begin, end) for contiguous parts that cover [0, count) exactly once, at most `threads` at a time.
///
/// Parts are multiples of `grain` (>= 1) but for the last, and depend on count, grain and threads only. With one thread
/// or one part the body runs on the caller. The body must not throw. Nested calls run on the caller's thread.
void parallel_for(std::int64_t count, int threads, std::int64_t grain,
                  const std::function<void(std::int64_t begin, std::int64_t end)>& body);

/// While it lives, libraries that use OpenMP themselves start at most `threads` threads when this thread calls them.
class LibraryThreads {
 public:
  explicit LibraryThreads(int threads);
  LibraryThreads(const LibraryThreads&) = delete;
  LibraryThreads& operator=(const LibraryThreads&) = delete;
  ~LibraryThreads();

 private:
  int before_;
};

int hardware_threads();  ///< processors this process may run on (its affinity mask)

}  // namespace qb
