// The three kinds of failure, one exit code each. Every message is one sentence: the thing, the fault, what would be
// accepted, and the nearest known name.
#pragma once
#include <stdexcept>
#include <string>

namespace qb {

struct InputError : std::runtime_error {  ///< The user asked for the impossible. Exit code 2.
  using std::runtime_error::runtime_error;
};
struct DataError : std::runtime_error {  ///< A file or a peer sent bytes we refuse. Exit code 3.
  using std::runtime_error::runtime_error;
};

/// A combination that is well formed but that this build or machine cannot run; becomes an `unsupported` row.
struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline constexpr int kExitDone = 0;
inline constexpr int kExitBrokenPromise = 1;
inline constexpr int kExitInput = 2;
inline constexpr int kExitData = 3;
inline constexpr int kExitFailedUnits = 4;

[[noreturn]] void broken_promise(const char* condition, const char* file, int line);  ///< says what broke, then abort()

}  // namespace qb

/// A programmer's promise. Checked in every build; never used on user input or peer data.
#define QB_EXPECTS(condition) ((condition) ? void(0) : ::qb::broken_promise(#condition, __FILE__, __LINE__))
