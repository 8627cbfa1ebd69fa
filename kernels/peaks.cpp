#include "kernels/peaks.h"

#include <sched.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <thread>
#include <vector>

#include "kernels/base/buffer.h"
#include "kernels/base/clock.h"
#include "kernels/base/cpu.h"
#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "kernels/peak_loops.h"

namespace qb {

namespace {

/// The fastest loops that this host may run; null where it has none.
struct Loops {
  PeakLoop f32 = f32_peak_portable, s8 = s8_peak_portable, bf16 = nullptr, binary = nullptr;
  ReadLoop read = read_peak_portable;
};

Loops loops_for([[maybe_unused]] Isa isa) {
  Loops loops;
#if defined(__x86_64__)
  if (includes(isa, Isa::avx2)) loops = {f32_peak_avx2, s8_peak_avx2, nullptr, nullptr, read_peak_avx2};
  if (includes(isa, Isa::avx512)) loops.f32 = f32_peak_avx512;
  if (includes(isa, Isa::avx512)) loops.read = read_peak_avx512;
  if (includes(isa, Isa::avx512vnni)) loops.s8 = s8_peak_avx512vnni;
  if (includes(isa, Isa::avx512bf16)) loops.bf16 = bf16_peak_avx512bf16;
  if (includes(isa, Isa::avx512vpopcnt)) loops.binary = binary_peak_avx512vpopcnt;
#elif defined(__aarch64__)
  if (includes(isa, Isa::neon)) loops = {f32_peak_neon, s8_peak_neon, nullptr, binary_peak_neon, read_peak_neon};
  if (includes(isa, Isa::dotprod)) loops.s8 = s8_peak_dotprod;
  if (includes(isa, Isa::i8mm)) loops.s8 = s8_peak_i8mm;
#endif
  return loops;
}

/// The processors that this process may run on, in rising order.
std::vector<int> allowed_processors() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  std::vector<int> processors;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return processors;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) processors.push_back(cpu);
  return processors;
}

void pin_to(int processor) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(processor, &one);
  ::sched_setaffinity(0, sizeof one, &one);
}

/// Runs body(thread) on `threads` threads of their own, each pinned to a processor where there are enough, and gives
/// the seconds from the first beginning to the last end, thread creation excluded.
template <class Body>
double timed_on_threads(int threads, const Body& body) {
  const std::vector<int> processors = allowed_processors();
  std::vector<std::int64_t> begin(std::size_t(threads), 0), end(std::size_t(threads), 0);
  std::vector<std::thread> crew;
  for (int t = 0; t < threads; ++t)
    crew.emplace_back([&, t] {
      if (threads <= int(processors.size())) pin_to(processors[std::size_t(t)]);
      begin[std::size_t(t)] = now_ns();
      body(t);
      end[std::size_t(t)] = now_ns();
    });
  for (std::thread& thread : crew) thread.join();
  const double ns = double(*std::max_element(end.begin(), end.end()) - *std::min_element(begin.begin(), begin.end()));
  return std::max(ns, 1.0) * 1e-9;
}

/// Operations per second of one loop that runs for about `seconds`.
double rate_of(PeakLoop loop, int threads, double seconds) {
  if (loop == nullptr) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> operations(std::size_t(threads), 0.0);
  const auto limit = std::int64_t(seconds * 1e9);
  const double took = timed_on_threads(threads, [&](int t) {
    for (const std::int64_t start = now_ns(); now_ns() - start < limit;) operations[std::size_t(t)] += loop(kPeakSteps);
  });
  double all = 0;
  for (const double done : operations) all += done;
  return all / took;
}

constexpr std::int64_t kPoolBytes = std::int64_t(256) << 20;

double read_rate(ReadLoop loop, const Buffer& pool, int threads) {
  const std::int64_t part = std::int64_t(pool.size()) / threads / 4096 * 4096;
  const double took = timed_on_threads(threads, [&](int t) { loop(pool.data() + t * part, part); });
  return double(part * threads) / took;
}

/// Runs body(thread) on the threads of parallel_for and gives the seconds from the first beginning to the last end.
template <class Body>
double timed_in_team(int threads, const Body& body) {
  std::vector<std::int64_t> begin_ns(std::size_t(threads), 0), end_ns(std::size_t(threads), 0);
  parallel_for(threads, threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      begin_ns[std::size_t(t)] = now_ns();
      body(t);
      end_ns[std::size_t(t)] = now_ns();
    }
  });
  return double(std::max<std::int64_t>(*std::ranges::max_element(end_ns) - *std::ranges::min_element(begin_ns), 1)) *
         1e-9;
}

PeakLoop loop_for(const Loops& loops, Limit limit) {
  switch (limit) {
    case Limit::f32: return loops.f32;
    case Limit::bf16: return loops.bf16;
    case Limit::s8: return loops.s8;
    case Limit::binary: return loops.binary;
    case Limit::read: break;
  }
  return nullptr;
}

}  // namespace

std::string_view name_of(Limit limit) {
  constexpr std::string_view kNames[] = {"f32", "bf16", "s8", "binary", "read"};
  return kNames[std::size_t(limit)];
}

double compute_rate_now(Limit limit, int threads, double seconds) {
  QB_EXPECTS(limit != Limit::read && threads >= 1 && seconds > 0);
  const PeakLoop loop = loop_for(loops_for(host_isa()), limit);
  if (loop == nullptr) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> operations(std::size_t(threads), 0.0);
  const auto limit_ns = std::int64_t(seconds * 1e9);
  const double took = timed_in_team(threads, [&](std::int64_t t) {
    for (const std::int64_t start = now_ns(); now_ns() - start < limit_ns;)
      operations[std::size_t(t)] += loop(kPeakSteps / 10);
  });
  return std::accumulate(operations.begin(), operations.end(), 0.0) / took;
}

double read_rate_now(const void* bytes, std::int64_t size, int threads, std::int64_t times) {
  QB_EXPECTS(threads >= 1 && size > 0 && size % (4096 * threads) == 0 && times >= 1);
  const ReadLoop loop = loops_for(host_isa()).read;
  const std::int64_t part = size / threads;
  const double took = timed_in_team(threads, [&](std::int64_t t) {
    for (std::int64_t i = 0; i < times; ++i) loop(static_cast<const std::byte*>(bytes) + t * part, part);
  });
  return double(size * times) / took;
}

Peaks measure_peaks(int threads, double budget_s) {
  QB_EXPECTS(threads >= 1 && budget_s > 0);
  const Loops loops = loops_for(host_isa());
  Peaks peaks;
  peaks.threads = threads;
  peaks.bf16_ops_per_s = std::numeric_limits<double>::quiet_NaN();
  Buffer pool{std::size_t(kPoolBytes)};
  std::fill_n(pool.as<std::uint64_t>(), kPoolBytes / 8, 1);  // each page its own memory, not the one shared zero page
  const auto limit = std::int64_t(budget_s * 1e9);
  const double slice = std::min(0.02, budget_s / 12);
  const auto keep = [](double& best, double now) { best = best > now ? best : now; };
  for (const std::int64_t start = now_ns();;) {
    keep(peaks.f32_ops_per_s, rate_of(loops.f32, threads, slice));
    keep(peaks.s8_ops_per_s, rate_of(loops.s8, threads, slice));
    keep(peaks.bf16_ops_per_s, rate_of(loops.bf16, threads, slice));
    keep(peaks.read_bytes_per_s, read_rate(loops.read, pool, threads));
    if (now_ns() - start >= limit) return peaks;
  }
}

}  // namespace qb
