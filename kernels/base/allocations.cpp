// malloc and its kin, as programs may define them (glibc manual, "Replacing malloc"): glibc's own, counted on the way.
#include "kernels/base/allocations.h"

#include <malloc.h>

#include <atomic>
#include <cerrno>
#include <cstddef>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define QB_COUNTS_ALLOCATIONS 1
#else
#define QB_COUNTS_ALLOCATIONS 0
#endif

namespace qb {
namespace {

// Ready before the first constructor runs, as the first allocations come from there.
constinit std::atomic<bool> claimed = false, counting = false;
constinit std::atomic<std::int64_t> held_bytes = 0, peak_bytes = 0;

}  // namespace

AllocationCount::AllocationCount() : counts_(QB_COUNTS_ALLOCATIONS && !claimed.exchange(true)) {
  if (!counts_) return;
  held_bytes = 0;
  peak_bytes = 0;
  counting = true;
}

AllocationCount::~AllocationCount() {
  if (!counts_) return;
  counting = false;
  claimed = false;
}

std::int64_t AllocationCount::peak() const { return counts_ ? peak_bytes.load() : -1; }

std::int64_t AllocationCount::held() const { return counts_ ? held_bytes.load() : -1; }

}  // namespace qb

#if QB_COUNTS_ALLOCATIONS

namespace {

void add(std::int64_t bytes) {
  const std::int64_t now = qb::held_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  std::int64_t peak = qb::peak_bytes.load(std::memory_order_relaxed);
  while (now > peak && !qb::peak_bytes.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
  }
}

bool is_counting() { return qb::counting.load(std::memory_order_relaxed); }

void* taken(void* block) {
  if (is_counting() && block != nullptr) add(std::int64_t(::malloc_usable_size(block)));
  return block;
}

bool is_power_of_two(std::size_t value) { return value != 0 && (value & (value - 1)) == 0; }

}  // namespace

extern "C" {

void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void* __libc_valloc(std::size_t size);
void* __libc_pvalloc(std::size_t size);
void __libc_free(void* block);

void* malloc(std::size_t size) noexcept { return taken(__libc_malloc(size)); }
void* calloc(std::size_t count, std::size_t size) noexcept { return taken(__libc_calloc(count, size)); }
void* memalign(std::size_t alignment, std::size_t size) noexcept { return taken(__libc_memalign(alignment, size)); }
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept { return memalign(alignment, size); }
void* valloc(std::size_t size) noexcept { return taken(__libc_valloc(size)); }
void* pvalloc(std::size_t size) noexcept { return taken(__libc_pvalloc(size)); }

int posix_memalign(void** block, std::size_t alignment, std::size_t size) noexcept {
  if (alignment % sizeof(void*) != 0 || !is_power_of_two(alignment)) return EINVAL;
  const int before = errno;
  void* const found = memalign(alignment, size);
  errno = before;
  if (found == nullptr) return ENOMEM;
  *block = found;
  return 0;
}

void free(void* block) noexcept {
  if (is_counting() && block != nullptr) add(-std::int64_t(::malloc_usable_size(block)));
  __libc_free(block);
}

void* realloc(void* block, std::size_t size) noexcept {
  const std::int64_t before = is_counting() && block != nullptr ? std::int64_t(::malloc_usable_size(block)) : 0;
  void* const moved = __libc_realloc(block, size);
  // A request for nothing frees the block; one that cannot be met leaves it.
  if (moved != nullptr || size == 0) {
    if (before > 0) add(-before);
    taken(moved);
  }
  return moved;
}

}  // extern "C"

#endif
