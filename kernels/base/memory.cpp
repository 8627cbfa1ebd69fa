#include "kernels/base/memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <string_view>

#include "kernels/base/text.h"

namespace qb {

namespace {

/// A line such as "VmHWM:    2292 kB" of /proc/self/status, in bytes.
std::int64_t status_bytes(std::string_view key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    std::string_view rest = trimmed(std::string_view(line).substr(key.size()));
    rest = rest.substr(0, rest.find(' '));
    if (const auto kib = parse_int(rest)) return *kib * 1024;
  }
  return -1;
}

}  // namespace

std::int64_t resident_bytes() { return status_bytes("VmRSS:"); }

std::int64_t peak_resident_bytes() { return status_bytes("VmHWM:"); }

bool reset_peak() {
  const int file = ::open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool done = ::write(file, "5", 1) == 1;
  ::close(file);
  return done;
}

}  // namespace qb
