// A shared library that is loaded when it is first needed.
#pragma once
#include <string>
#include <string_view>

namespace qb {

/// Loads `file` for the rest of the process. Throws Unsupported saying what to install when that fails.
void* load_library(const char* file, std::string_view package);

void* symbol_of(void* library, const char* name);  ///< throws Unsupported when the library lacks it

/// Points `function` at the symbol of that name.
template <class Function>
void bind(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(symbol_of(library, name));
}

}  // namespace qb
