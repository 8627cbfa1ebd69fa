// What this machine can do at most: the denominators of every "% of peak".
#pragma once
#include <cstdint>
#include <string_view>

namespace qb {

/// Measured rates of register-only loops and of a plain read loop, on `threads` pinned threads.
struct Peaks {
  int threads = 1;
  double read_bytes_per_s = 0;  ///< cold read of a pool larger than the last-level cache
  double f32_ops_per_s = 0;     ///< 2 per multiply-add, best instruction available
  double s8_ops_per_s = 0;      ///< int8 multiply-add into int32
  double bf16_ops_per_s = 0;    ///< NaN where there is no bf16 instruction
};

/// Takes about `budget_s` seconds (>= 0.1) in all; the best of interleaved rounds.
Peaks measure_peaks(int threads, double budget_s);

/// What limits a product: a rate of multiply-adds, by what is multiplied, or that of reading memory.
enum class Limit : std::uint8_t { f32, bf16, s8, binary, read };
std::string_view name_of(Limit limit);

/// Operations per second (2 per multiply-add) of a register-only loop that runs for about `seconds` on the very threads
/// that gemm() uses, none of them pinned: what a kernel measured right after it could reach. NaN where the processor
/// has no such instruction. Not for Limit::read.
double compute_rate_now(Limit limit, int threads, double seconds);

/// Bytes per second of reading `size` bytes `times` times, by those threads, each its part. `size` a multiple of
/// 4096 * threads, `bytes` 64-byte aligned.
double read_rate_now(const void* bytes, std::int64_t size, int threads, std::int64_t times = 1);

}  // namespace qb
