// What keeps loops over arrays of registers in registers. For files with instruction-set flags.
#pragma once

#define QB_UNROLL _Pragma("GCC unroll 32")  // before registers are assigned: an array that is indexed stays in memory
#define QB_INLINE __attribute__((always_inline)) inline
