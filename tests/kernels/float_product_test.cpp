// Products of two matrices that are known only when they are multiplied, against the formula, in any order in memory.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "kernels/base/allocations.h"
#include "kernels/base/random.h"
#include "kernels/float_product.h"

namespace qb {
namespace {

std::vector<float> numbers(std::int64_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(std::size_t(count), 0.0f);
  for (float& value : values) value = float(random.normal());
  return values;
}

/// `count` products, operands turned or not, rows of y two elements apart.
struct Products {
  Products(std::int64_t the_count, std::int64_t the_m, std::int64_t the_n, std::int64_t the_k, bool turn_a, bool turn_b)
      : count(the_count), m(the_m), n(the_n), k(the_k), turned_a(turn_a), turned_b(turn_b) {
    a = numbers(count * m * k, 1);
    b = numbers(count * k * n, 2);
    y.assign(std::size_t(count * m * (n + 2)), kUntouched);
  }

  FloatProduct operator()(std::int64_t p) {
    return {m,
            n,
            k,
            a.data() + p * m * k,
            turned_a ? 1 : k,
            turned_a ? m : 1,
            b.data() + p * k * n,
            turned_b ? 1 : n,
            turned_b ? k : 1,
            y.data() + p * m * (n + 2),
            n + 2};
  }
  void run(Isa isa, int threads) { multiply_floats(count, std::ref(*this), isa, threads, scratch); }
  void check() {
    for (std::int64_t p = 0; p < count; ++p) {
      const FloatProduct own = (*this)(p);
      for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t j = 0; j < n; ++j) {
          double sum = 0, magnitude = 0;
          for (std::int64_t t = 0; t < k; ++t) {
            const double term =
                double(own.a[i * own.a_row + t * own.a_column]) * double(own.b[t * own.b_row + j * own.b_column]);
            sum += term;
            magnitude += std::abs(term);
          }
          // Each term meets at most k + 1 roundings (Higham, Accuracy and Stability of Numerical Algorithms,
          // section 3.1).
          CHECK(std::abs(double(own.y[i * own.y_row + j]) - sum) <= double(k + 2) * 0x1p-24 * magnitude);
        }
        CHECK(own.y[i * own.y_row + n] == kUntouched);
        CHECK(own.y[i * own.y_row + n + 1] == kUntouched);
      }
    }
  }

  static constexpr float kUntouched = 1e30f;
  std::int64_t count, m, n, k;
  bool turned_a, turned_b;
  std::vector<float> a, b, y;
  FloatProductScratch scratch;
};

std::vector<Isa> caps() {
  std::vector<Isa> all;
  for (const Isa cap : {Isa::none, Isa::avx2, Isa::avx2 | Isa::avx512, Isa::neon})
    if (includes(host_isa(), cap)) all.push_back(cap);
  return all;
}

TEST_CASE("two matrices multiply as the formula says, under every set of instructions, at any thread count") {
  struct Extents {
    std::int64_t count, m, n, k;
  };
  for (const Extents e :
       {Extents{1, 1, 1, 1}, {1, 7, 65, 33}, {3, 13, 17, 5}, {5, 1, 130, 64}, {2, 30, 8, 600}, {4, 3, 3, 0}})
    for (const bool turn_a : {false, true})
      for (const bool turn_b : {false, true})
        for (const Isa isa : caps()) {
          CAPTURE(e.count);
          CAPTURE(e.n);
          Products products(e.count, e.m, e.n, e.k, turn_a, turn_b);
          products.run(isa, 1);
          products.check();
          const std::vector<float> one = products.y;
          for (const int threads : {2, 5}) {
            Products again(e.count, e.m, e.n, e.k, turn_a, turn_b);
            again.run(isa, threads);
            CHECK(again.y == one);
          }
        }
}

TEST_CASE("nothing is computed of nothing, and a warm call allocates nothing") {
  FloatProductScratch scratch;
  multiply_floats(
      0, [](std::int64_t) { return FloatProduct{}; }, host_isa(), 2, scratch);
  Products empty(2, 0, 5, 3, false, false);
  empty.run(host_isa(), 2);
  Products products(2, 9, 70, 40, true, false);
  products.run(host_isa(), 1);
  CHECK(products.scratch.bytes() > 0);
  const AllocationCount count;
  products.run(host_isa(), 1);
  if (count.counts()) CHECK(count.peak() == 0);
}

}  // namespace
}  // namespace qb
