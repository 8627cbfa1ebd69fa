#include "kernels/base/parallel.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>

#include "kernels/base/error.h"

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

namespace qb {

namespace {

// The thread sanitizer cannot see what libgomp's barriers order. These two say it: all that any thread did before
// leave(gate) comes before all that a thread does after enter(gate). They are nothing in other builds.
#ifdef __SANITIZE_THREAD__
void leave(char& gate) { __tsan_release(&gate); }
void enter(char& gate) { __tsan_acquire(&gate); }
#else
void leave(char&) {}
void enter(char&) {}
#endif

}  // namespace

// What the compiler makes of the region itself reads this frame before it enters; the bodies are looked at.
[[gnu::no_sanitize("thread")]] void parallel_for(std::int64_t count, int threads, std::int64_t grain,
                                                 const std::function<void(std::int64_t, std::int64_t)>& body) {
  QB_EXPECTS(count >= 0 && threads >= 1 && grain >= 1);
  if (count == 0) return;
  const std::int64_t blocks = (count + grain - 1) / grain;
  const int parts = int(std::min<std::int64_t>(threads, blocks));
  if (parts == 1 || omp_in_parallel()) return body(0, count);
  char begun = 0, done = 0;
  leave(begun);
#pragma omp parallel for num_threads(parts) schedule(static, 1)
  for (int part = 0; part < parts; ++part) {
    enter(begun);
    const std::int64_t begin = blocks * part / parts * grain;
    const std::int64_t end = std::min(count, blocks * (part + 1) / parts * grain);
    if (begin < end) body(begin, end);
    leave(done);
  }
  enter(done);
}

LibraryThreads::LibraryThreads(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }

LibraryThreads::~LibraryThreads() { omp_set_num_threads(before_); }

int hardware_threads() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  return std::max(1, CPU_COUNT(&allowed));
}

}  // namespace qb
