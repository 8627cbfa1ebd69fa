// What this machine can do at most: the denominators of every "% of peak".
#pragma once

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

}  // namespace qb
