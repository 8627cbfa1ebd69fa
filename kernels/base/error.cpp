#include "kernels/base/error.h"

#include <cstdio>
#include <cstdlib>

namespace qb {

void broken_promise(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "broken promise: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace qb
