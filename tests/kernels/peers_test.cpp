#include "kernels/peers/peers.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "kernels/base/cpu.h"
#include "kernels/quant_format.h"

namespace qb {

TEST_CASE("a peer is chosen by its name only, and leaves other layers to our best") {
  for (const KernelInfo& kernel : kernels()) {
    if (!kernel.peer || !includes(host_isa(), kernel.needs)) continue;
    INFO(kernel.name);
    const QuantFormat own = parse_quant_format(kernel.activations == Activations::s8 ? "q8c" : "f32");
    REQUIRE(kernel.accepts(own, 64));
    for (const std::int64_t rows : {1, 8, 512}) {
      CHECK(!choose_kernel("best", kernel.activations, own, 64, rows, host_isa())->peer);
      CHECK(choose_kernel(kernel.name, kernel.activations, own, 64, rows, host_isa()) == &kernel);
    }
    const Activations other = kernel.activations == Activations::s8 ? Activations::f32 : Activations::s8;
    CHECK(choose_kernel(kernel.name, other, parse_quant_format("q4g32"), 64, 8, host_isa()) ==
          choose_kernel("best", other, parse_quant_format("q4g32"), 64, 8, host_isa()));
  }
}

TEST_CASE("peers say what library they are, our own kernels say nothing") {
  for (const KernelInfo& kernel : kernels()) {
    INFO(kernel.name);
    const std::string words = describe_peer(kernel);
    CHECK(words.empty() == !kernel.peer);
    if (kernel.name.ends_with("_openblas")) CHECK(words.find(", core ") != std::string::npos);
    if (kernel.name.ends_with("_onednn")) CHECK(words.starts_with("oneDNN 2."));
  }
}

TEST_CASE("the fastest core type of OpenBLAS is found in child processes and kept") {
  const auto openblas = [](const KernelInfo& kernel) { return kernel.name.ends_with("_openblas"); };
  const bool compiled = std::ranges::any_of(kernels(), openblas);
  ::unsetenv("OPENBLAS_CORETYPE");
  const std::vector<OpenblasCore> cores = choose_openblas_core();
  CHECK(cores.empty() == !compiled);
  if (!compiled) return;
  CHECK(cores.front().name.empty());  // its own choice, which always works
  CHECK(cores.front().ops_per_s > 0);
  const auto fastest = std::ranges::max_element(cores, {}, &OpenblasCore::ops_per_s);
  const char* kept = std::getenv("OPENBLAS_CORETYPE");
  CHECK((kept == nullptr ? "" : kept) == fastest->name);
  ::setenv("OPENBLAS_CORETYPE", "Haswell", 1);
  CHECK(choose_openblas_core().empty());  // the user's choice stays
  CHECK(std::getenv("OPENBLAS_CORETYPE") == std::string("Haswell"));
}

}  // namespace qb
