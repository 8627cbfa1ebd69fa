#include "kernels/base/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace qb {

namespace {
constexpr std::size_t kHugePage = std::size_t(2) << 20;
constexpr std::size_t kAlign = 64;
}  // namespace

void Buffer::Free::operator()(std::byte* bytes) const { std::free(bytes); }

Buffer::Buffer(std::size_t size) : size_(size) {
  const std::size_t align = size >= kHugePage ? kHugePage : kAlign;
  if (size > SIZE_MAX - 2 * kHugePage) throw std::bad_alloc();
  const std::size_t capacity = (size + kAlign + align - 1) / align * align;
  bytes_.reset(static_cast<std::byte*>(std::aligned_alloc(align, capacity)));
  if (!bytes_) throw std::bad_alloc();
  if (align == kHugePage) ::madvise(bytes_.get(), capacity, MADV_HUGEPAGE);
  std::memset(bytes_.get(), 0, capacity);
}

Buffer::Buffer(const Buffer& other) : Buffer(other.size_) {
  if (size_ > 0) std::memcpy(bytes_.get(), other.bytes_.get(), size_);
}

Buffer& Buffer::operator=(const Buffer& other) {
  if (this != &other) *this = Buffer(other);
  return *this;
}

}  // namespace qb
