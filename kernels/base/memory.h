// How much memory this process holds, as the operating system counts it.
#pragma once
#include <cstdint>

namespace qb {

std::int64_t resident_bytes();       ///< VmRSS of this process; -1 when it cannot be read
std::int64_t peak_resident_bytes();  ///< VmHWM of this process; -1 when it cannot be read
bool reset_peak();                   ///< VmHWM becomes VmRSS; false when the kernel does not allow it

}  // namespace qb
