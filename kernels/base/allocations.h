// What is allocated while something works, to the byte: pages of the operating system are too coarse for small work.
#pragma once
#include <cstdint>

namespace qb {

/// Counts, while it lives, what malloc and its kin hand out and take back in the whole process (Buffers, containers and
/// Eigen's temporaries alike; not stacks of threads, nor what is mapped by hand). One at a time: a second one counts
/// nothing. While none lives, an allocation costs one relaxed load more than without.
class AllocationCount {
 public:
  AllocationCount();
  AllocationCount(const AllocationCount&) = delete;
  ~AllocationCount();

  bool counts() const { return counts_; }  ///< not under a sanitizer, without glibc, or while another one lives

  /// The most bytes held at once above those that were held when it began, blocks at the size that the allocator gave
  /// them; -1 where nothing is counted.
  std::int64_t peak() const;
  std::int64_t held() const;  ///< now, likewise; below 0 when more was given back than taken

 private:
  bool counts_;
};

}  // namespace qb
