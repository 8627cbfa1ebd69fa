#include "kernels/peers/shared_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "kernels/base/error.h"

namespace qb {

void* load_library(const char* file, std::string_view package) {
  if (void* library = ::dlopen(file, RTLD_LAZY | RTLD_LOCAL)) return library;
  throw Unsupported(fmt::format("{}; the Debian package {} has it", ::dlerror(), package));
}

void* symbol_of(void* library, const char* name) {
  if (void* symbol = ::dlsym(library, name)) return symbol;
  throw Unsupported(fmt::format("{}; the library is of another version than the headers", ::dlerror()));
}

}  // namespace qb
