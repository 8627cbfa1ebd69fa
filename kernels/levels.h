// Fixed sets of levels: what a code of 1 to 8 bits means before it is scaled.
#pragma once
#include <array>
#include <span>
#include <string_view>
#include <vector>

namespace qb {

inline constexpr float kBinaryLevels[2] = {-1, 1};
inline constexpr float kTernaryLevels[3] = {-1, 0, 1};

/// Normal float: equal shares of a normal distribution, zero exact, ends at +-1, for blocks of 64 scaled by their
/// largest magnitude. Source: Dettmers et al., QLoRA (arXiv:2305.14314), appendix E; the float32 values in circulation.
inline constexpr float kNf4Levels[16] = {-1.0f,
                                         -0.69619280099868770f,
                                         -0.52507305145263670f,
                                         -0.39491748809814453f,
                                         -0.28444138169288635f,
                                         -0.18477343022823334f,
                                         -0.09105003625154495f,
                                         0.0f,
                                         0.07958029955625534f,
                                         0.16093020141124725f,
                                         0.24611230194568634f,
                                         0.33791524171829224f,
                                         0.44070982933044434f,
                                         0.56261700391769410f,
                                         0.72295683622360230f,
                                         1.0f};

/// Abnormal float: the least expected |error| given the block's largest magnitude, for normal weights in blocks of 64
/// (or 32). Source: Yoshida, NF4 Isn't Information Theoretically Optimal (arXiv:2306.06965).
inline constexpr float kAf4Levels[16] = {
    -1.0f,       -0.69441008f, -0.51243739f, -0.3736951f, -0.25607552f, -0.14982478f, -0.04934812f, 0.0f,
    0.04273164f, 0.12934483f,  0.21961274f,  0.31675666f, 0.42563882f,  0.55496234f,  0.72424863f,  1.0f};
inline constexpr float kAf4Block32Levels[16] = {
    -1.0f,       -0.72380075f, -0.54068711f, -0.3963985f, -0.2723577f, -0.15956821f, -0.05258802f, 0.0f,
    0.04554747f, 0.13780891f,  0.23375854f,  0.33656744f, 0.4508456f,  0.58437857f,  0.75299116f,  1.0f};

/// The 4-bit float of bitsandbytes in its own order of codes, ends at +-1. It is not E2M1.
inline constexpr float kFp4Levels[16] = {0.0f,       0.0625f / 12, 8.0f / 12,  1.0f,          4.0f / 12,  0.5f,
                                         2.0f / 12,  0.25f,        -0.0f,      -0.0625f / 12, -8.0f / 12, -1.0f,
                                         -4.0f / 12, -0.5f,        -2.0f / 12, -0.25f};

/// GGUF's non-linear 4 bits: int8 levels without a zero. Source: ggml, kvalues_iq4nl.
inline constexpr float kIq4NlLevels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/// The values of OCP element formats by bit pattern; code 2^(bits-1) is minus zero. Codes that are no number are NaN or
/// infinite: 0x7f and 0xff in e4m3, 0x7c..0x7f and 0xfc..0xff in e5m2.
extern const std::array<float, 16> kE2m1Levels;
extern const std::array<float, 64> kE2m3Levels;
extern const std::array<float, 64> kE3m2Levels;
extern const std::array<float, 256> kE4m3Levels;
extern const std::array<float, 256> kE5m2Levels;

/// The 256 rising values, from -0.993 to 1, of an 8-bit float whose exponent is a power of ten and takes as many bits
/// as it needs: 2^i midpoints of [10^(i-7), 10^(i-6)] for i < 7 of both signs, 0 and 1. Source: Dettmers 2016, 8-Bit
/// Approximations for Parallelism in Deep Learning (arXiv:1511.04561), as bitsandbytes stores the scales of QLoRA.
std::span<const float> dynamic_levels();

/// Powers of two of both signs and zero, rising: 2^bits - 1 integers, 1 the least positive, for 3 to 5 bits.
std::span<const float> pot_set(int bits);

/// Sums of powers of two likewise, for 4 to 7 bits.
std::span<const float> apot_set(int bits);

/// The levels of a set by its name: binary, ternary, trit, e2m1, e2m3, e3m2, e4m3, e5m2, nf4, af4, af4b32, fp4, iq4nl,
/// pot3 to pot5, apot4 to apot7. Throws InputError naming the nearest.
std::span<const float> levels_named(std::string_view set);

/// The code of the level nearest to x; of two equally near the lower code. Infinite and NaN levels are never chosen.
int nearest_level(std::span<const float> levels, float x);

/// Where rising levels meet: threshold i is the float32 midpoint of levels i and i + 1. Counting the thresholds below x
/// gives nearest_level(levels, x), up to the rounding of the midpoints.
std::vector<float> level_thresholds(std::span<const float> levels);

/// Additive powers of two: the 2^bits magnitudes, rising, largest 1, for 2 to 6 bits; one sign bit comes on top.
/// Sums of one to three powers of two, scaled.
/// Source: Li, Dong and Wang, Additive Powers-of-Two Quantization (arXiv:1909.13144) and its published code.
std::vector<double> apot_levels(int bits);

/// Powers of two: 0 and 2^-i for i < 2^bits - 1, rising; 1 to 6 bits.
std::vector<double> pot_levels(int bits);

}  // namespace qb
