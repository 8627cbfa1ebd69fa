// Processors, threads, random numbers, memory: the parts of the base that meet the machine.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <span>
#include <thread>
#include <vector>

#include "kernels/base/allocations.h"
#include "kernels/base/buffer.h"
#include "kernels/base/clock.h"
#include "kernels/base/cpu.h"
#include "kernels/base/parallel.h"
#include "kernels/base/random.h"
#include "kernels/base/tensor.h"

using namespace qb;

TEST_CASE("caps include what stands below them and refuse unknown names") {
  CHECK(includes(isa_cap("avx512vnni"), isa_cap("avx2")));
  CHECK(includes(isa_cap("best"), detected_isa()));
  CHECK(isa_cap("scalar") == Isa::none);
  CHECK(to_text(Isa::none) == "scalar");
  CHECK(to_text(Isa::avx2 | Isa::avx512) == "avx2+avx512");
  CHECK_THROWS_WITH(isa_cap("avx-512"), "instruction set 'avx-512' is not known; did you mean 'avx512'?");
  CHECK(includes(detected_isa(), host_isa()));
}

TEST_CASE("parallel_for covers every index once, at any thread count and grain") {
  for (const std::int64_t count : {0, 1, 7, 64, 1000})
    for (const int threads : {1, 2, 3, 8})
      for (const std::int64_t grain : {1, 16, 2000}) {
        std::vector<std::atomic<int>> seen(static_cast<std::size_t>(count));
        parallel_for(count, threads, grain, [&](std::int64_t begin, std::int64_t end) {
          CHECK(begin % grain == 0);
          for (std::int64_t i = begin; i < end; ++i) ++seen[std::size_t(i)];
        });
        for (const auto& times : seen) CHECK(times == 1);
      }
  CHECK(hardware_threads() >= 1);
}

TEST_CASE("random streams are fixed numbers, differ, and look as they should") {
  Random random(1);
  const std::uint64_t first = random();
  CHECK(first == Random(1)());
  std::set<std::uint64_t> firsts;
  for (std::uint64_t stream = 0; stream < 1000; ++stream) firsts.insert(Random(1, stream)());
  CHECK(firsts.size() == 1000);
  CHECK(mix64(0) == 0xe220a8397b1dcdafu);  // first output of splitmix64 with seed 0, as published with the algorithm
  double sum = 0, squares = 0;
  constexpr int kCount = 100'000;
  for (int i = 0; i < kCount; ++i) {
    const double x = random.normal();
    sum += x;
    squares += x * x;
    CHECK(random.below(7) < 7);
    const double u = random.uniform(-1, 1);
    CHECK((u >= -1 && u < 1));
  }
  CHECK(std::abs(sum / kCount) < 5 / std::sqrt(double(kCount)));        // 5 standard errors of the mean
  CHECK(std::abs(squares / kCount - 1) < 5 * std::sqrt(2.0 / kCount));  // 5 standard errors of the variance
}

TEST_CASE("buffers are aligned, zeroed, padded and deep") {
  for (const std::size_t size : {std::size_t(0), std::size_t(1), std::size_t(63), std::size_t(5) << 20}) {
    Buffer buffer(size);
    CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0);
    for (std::size_t i = 0; i < size + 64; i += 61) CHECK(buffer.data()[i] == std::byte{0});
    if (size == 0) continue;
    Buffer copy = buffer;
    copy.data()[0] = std::byte{1};
    CHECK(buffer.data()[0] == std::byte{0});
  }
}

TEST_CASE("tensors know their size and refuse absurd ones") {
  CHECK(element_count({}) == 1);
  CHECK(element_count({2, 0, 3}) == 0);
  CHECK_THROWS_AS(element_count({-1}), DataError);
  CHECK_THROWS_AS(element_count({1 << 30, 1 << 30}), DataError);
  const Tensor tensor = tensor_of({2, 2}, std::vector<std::int64_t>{1, -2, 3, 4});
  const Tensor floats = to_f32(tensor);
  CHECK(floats.as<float>()[1] == -2.0f);
  CHECK(to_text(floats.shape) == "[2, 2]");
}

TEST_CASE("the clock runs forward") {
  const std::int64_t before = now_ns();
  CHECK(now_ns() >= before);
  CHECK(utc_text().size() == 20);
}

namespace {

/// The allocator rounds every block up by less than this, or by a page where it maps one.
constexpr std::int64_t kRounding = 32, kPage = 4096;

bool counts_allocations() {
  const bool counts = AllocationCount().counts();
  if (!counts) MESSAGE("allocations are not counted in this build");
  return counts;
}

/// So many bytes, in a block that the compiler cannot do without.
std::vector<char> bytes_held(std::size_t bytes) {
  std::vector<char> held(bytes);
  asm volatile("" : : "r"(held.data()) : "memory");
  return held;
}

void check_peak(const AllocationCount& count, std::int64_t bytes, std::int64_t rounding) {
  CHECK(count.peak() >= bytes);
  CHECK(count.peak() <= bytes + rounding);
}

}  // namespace

TEST_CASE("allocations are counted to the byte, whoever makes them and gives them back") {
  if (!counts_allocations()) return;
  auto before = std::make_unique<std::vector<char>>(5000);
  {
    const AllocationCount count;
    CHECK(count.peak() == 0);
    bytes_held(100);
    check_peak(count, 100, kRounding);
    CHECK(count.held() == 0);
    {
      const std::vector<char> one = bytes_held(4000), two = bytes_held(2000);
      CHECK(count.held() >= 6000);
    }
    bytes_held(3000);
    check_peak(count, 6000, 2 * kRounding);
    const AllocationCount second;
    CHECK_FALSE(second.counts());
    CHECK(second.peak() == -1);
  }
  {
    const AllocationCount count;  // what was there before makes room
    before.reset();
    CHECK(count.held() < -5000);
    const std::vector<char> later = bytes_held(4000);
    CHECK(count.peak() == 0);
  }
  {
    const AllocationCount count;
    const Buffer small(1000);
    check_peak(count, 1064, 2 * 64 + kRounding);  // 64 readable bytes at its end
    const Buffer large(std::size_t(5) << 20);
    // Whole huge pages of 2 MiB, and what the allocator maps beyond them to align the first.
    check_peak(count, std::int64_t(6) << 20, (std::int64_t(2) << 20) + kPage + 4000);
  }
}

TEST_CASE("the C library's ways to memory are counted too") {
  if (!counts_allocations()) return;
  const AllocationCount count;
  void* block = std::malloc(1000);
  block = std::realloc(block, 3000);
  REQUIRE(block != nullptr);
  check_peak(count, 3000, 1000 + 2 * kRounding);  // the old block beside the new one, where it had to move
  block = std::realloc(block, 10);
  CHECK(count.held() <= 10 + kRounding);
  std::free(block);
  CHECK(count.held() == 0);
  block = std::calloc(100, 50);
  CHECK(count.held() >= 5000);
  CHECK(std::ranges::all_of(std::span(static_cast<char*>(block), 5000), [](char byte) { return byte == 0; }));
  std::free(block);
  CHECK(::posix_memalign(&block, 3, 100) == EINVAL);
  REQUIRE(::posix_memalign(&block, 4096, 100) == 0);
  CHECK(reinterpret_cast<std::uintptr_t>(block) % 4096 == 0);
  std::free(block);
  block = std::aligned_alloc(256, 512);
  CHECK(reinterpret_cast<std::uintptr_t>(block) % 256 == 0);
  std::free(block);
  char* text = ::strdup("made in the library, freed here");
  CHECK(count.held() > 0);
  std::free(text);
  CHECK(count.held() == 0);
  const std::size_t too_much = std::size_t(PTRDIFF_MAX);
  CHECK(std::malloc(too_much) == nullptr);
  CHECK(count.held() == 0);
  std::free(nullptr);
}

TEST_CASE("threads add up, and nothing is lost between them") {
  if (!counts_allocations()) return;
  constexpr int kThreads = 4, kBlocks = 1000;
  std::vector<std::vector<std::unique_ptr<char[]>>> blocks(kThreads);
  for (auto& mine : blocks) mine.reserve(kBlocks);
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  const AllocationCount count;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&mine = blocks[std::size_t(t)]] {
      for (int i = 0; i < kBlocks; ++i) mine.push_back(std::make_unique<char[]>(100));
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(count.held() >= kThreads * kBlocks * 100);
  // Beside the blocks, what the library keeps of each thread: some hundred bytes, and its table of thread storage.
  CHECK(count.held() <= kThreads * (kBlocks * (100 + kRounding) + 4096));
  CHECK(count.peak() >= count.held());
  const std::int64_t with_blocks = count.held();
  blocks.clear();
  CHECK(with_blocks - count.held() >= kThreads * kBlocks * 100);
}
