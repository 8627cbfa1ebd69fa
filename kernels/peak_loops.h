// Loops that do nothing but keep one unit of the processor busy. Compiled under several instruction-set flags: data
// only.
#pragma once
#include <cstdint>

namespace qb {

inline constexpr std::int64_t kPeakSteps = 20000;  ///< steps per call: a few hundred microseconds at most

/// Runs `steps` steps on registers and gives the number of operations done, 2 per multiply-add. Reentrant.
using PeakLoop = double (*)(std::int64_t steps);
double f32_peak_portable(std::int64_t steps);
double f32_peak_avx2(std::int64_t steps);
double f32_peak_avx512(std::int64_t steps);
double f32_peak_neon(std::int64_t steps);
double s8_peak_portable(std::int64_t steps);    ///< widened to int32
double s8_peak_avx2(std::int64_t steps);        ///< vpmaddubsw, vpmaddwd, vpaddd
double s8_peak_avx512vnni(std::int64_t steps);  ///< vpdpbusd
double s8_peak_neon(std::int64_t steps);        ///< smull, sadalp
double s8_peak_dotprod(std::int64_t steps);     ///< sdot
double s8_peak_i8mm(std::int64_t steps);        ///< smmla
double bf16_peak_avx512bf16(std::int64_t steps);
double binary_peak_avx512vpopcnt(std::int64_t steps);  ///< vpxorq, vpopcntq, vpaddq: 512 products of signs
double binary_peak_neon(std::int64_t steps);           ///< eor, cnt, add: 128 products of signs

/// Reads `size` bytes (a multiple of 4096, 64-byte aligned) once in rising order.
using ReadLoop = void (*)(const void* bytes, std::int64_t size);
void read_peak_portable(const void* bytes, std::int64_t size);
void read_peak_avx2(const void* bytes, std::int64_t size);
void read_peak_avx512(const void* bytes, std::int64_t size);
void read_peak_neon(const void* bytes, std::int64_t size);

}  // namespace qb
