// Processors, threads, random numbers, memory: the parts of the base that meet the machine.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <cmath>
#include <set>
#include <vector>

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
