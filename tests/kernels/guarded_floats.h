// Memory that ends where readable memory ends.
#pragma once
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <span>

namespace qb {

/// `count` floats whose last byte is the last before a page that may not be touched.
class GuardedFloats {
 public:
  explicit GuardedFloats(std::size_t count) : count_(count) {
    const auto page = std::size_t(::sysconf(_SC_PAGESIZE));
    const std::size_t bytes = (count * sizeof(float) + page - 1) / page * page;
    size_ = bytes + page;
    memory_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory_ != MAP_FAILED);
    REQUIRE(::mprotect(static_cast<std::byte*>(memory_) + bytes, page, PROT_NONE) == 0);
    first_ = reinterpret_cast<float*>(static_cast<std::byte*>(memory_) + bytes) - count;
  }
  GuardedFloats(const GuardedFloats&) = delete;
  GuardedFloats& operator=(const GuardedFloats&) = delete;
  ~GuardedFloats() { ::munmap(memory_, size_); }
  std::span<float> values() { return {first_, count_}; }

 private:
  void* memory_ = nullptr;
  std::size_t size_ = 0, count_ = 0;
  float* first_ = nullptr;
};

}  // namespace qb
