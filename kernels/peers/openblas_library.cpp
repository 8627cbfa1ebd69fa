#include "kernels/peers/openblas_library.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "kernels/base/clock.h"
#include "kernels/base/cpu.h"
#include "kernels/base/text.h"
#include "kernels/peers/peers.h"
#include "kernels/peers/shared_library.h"

namespace qb {

namespace {

constexpr const char* kCoreVariable = "OPENBLAS_CORETYPE";

/// Core types worth trying, and the instructions without which their kernels would crash.
struct Candidate {
  const char* name;
  Isa needs;
};
#if defined(__x86_64__)
constexpr Candidate kCandidates[] = {
    {"", Isa::none},
    {"Haswell", Isa::avx2},
    {"Zen", Isa::avx2},
    {"SkylakeX", Isa::avx2 | Isa::avx512},
    {"Cooperlake", Isa::avx2 | Isa::avx512 | Isa::avx512bf16},
};
#else
constexpr Candidate kCandidates[] = {{"", Isa::none}, {"NEOVERSEN1", Isa::neon}, {"NEOVERSEV1", Isa::neon}};
#endif

/// The best of a few products of 512 x 512 matrices, in operations per second.
double measured_rate() {
  constexpr int kSize = 512;
  const std::vector<float> a(kSize * kSize, 1.0f), w(kSize * kSize, 0.5f);
  std::vector<float> y(kSize * kSize);
  const auto begin_ns = now_ns();
  double best_ns = 1e18;
  for (int round = 0; round < 20 && now_ns() - begin_ns < 100'000'000; ++round) {
    const auto start_ns = now_ns();
    openblas().sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, kSize, kSize, kSize, 1.0f, a.data(), kSize, w.data(),
                     kSize, 0.0f, y.data(), kSize);
    best_ns = std::min(best_ns, double(now_ns() - start_ns));
  }
  return 2e9 * kSize * kSize * kSize / best_ns;
}

/// The rate of one core type, measured by a child; 0 when the child dies, says nothing within two seconds, or the
/// library does not know the type and falls back to another.
double rate_in_child(const char* core) {
  int ends[2];
  if (::pipe(ends) != 0) return 0;
  const pid_t child = ::fork();
  if (child < 0) {
    ::close(ends[0]);
    ::close(ends[1]);
    return 0;
  }
  if (child == 0) {
    const rlimit no_core_file{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core_file);
    ::alarm(2);
    double rate = 0;
    try {
      if (*core != 0) ::setenv(kCoreVariable, core, 1);
      if (*core == 0 || std::string_view(core) == openblas().get_corename()) rate = measured_rate();
    } catch (...) {
    }
    const bool said = ::write(ends[1], &rate, sizeof rate) == ssize_t(sizeof rate);
    ::_exit(said ? 0 : 1);
  }
  ::close(ends[1]);
  double rate = 0;
  if (::read(ends[0], &rate, sizeof rate) != ssize_t(sizeof rate)) rate = 0;
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return rate;
}

}  // namespace

const Openblas& openblas() {
  static const Openblas functions = [] {
    ::setenv("OPENBLAS_NUM_THREADS", "1", 1);  // read when it is loaded: it starts no threads then
    void* library = load_library(QB_OPENBLAS_FILE, "libopenblas0");
    Openblas found{};
    bind(library, "cblas_sgemm", found.sgemm);
    bind(library, "cblas_sgemv", found.sgemv);
    bind(library, "openblas_get_config", found.get_config);
    bind(library, "openblas_get_corename", found.get_corename);
    return found;
  }();
  return functions;
}

std::string describe_openblas() {
  const std::vector<std::string_view> words = split(openblas().get_config(), ' ');
  return fmt::format("OpenBLAS {}, core {}", words.size() > 1 ? words[1] : "of unknown version",
                     openblas().get_corename());
}

std::vector<OpenblasCore> choose_openblas_core() {
  std::vector<OpenblasCore> cores;
  if (std::getenv(kCoreVariable) != nullptr) return cores;
  for (const Candidate& candidate : kCandidates)
    if (includes(detected_isa(), candidate.needs)) cores.push_back({candidate.name, rate_in_child(candidate.name)});
  const auto slower = [](const OpenblasCore& a, const OpenblasCore& b) { return a.ops_per_s < b.ops_per_s; };
  const OpenblasCore& fastest = *std::max_element(cores.begin(), cores.end(), slower);
  if (!fastest.name.empty()) ::setenv(kCoreVariable, fastest.name.c_str(), 1);
  return cores;
}

}  // namespace qb
