#include "kernels/peers/peers.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "kernels/base/cpu.h"
#include "kernels/base/small_floats.h"
#include "kernels/peers/convolution.h"
#include "kernels/quant_format.h"
#include "tests/kernels/gemm_case.h"

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
    if (kernel.name.find("_onednn") != std::string_view::npos) CHECK(words.starts_with("oneDNN 2."));
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

TEST_CASE("integer products of peers are exact where a library's shifted or signed sums leave float32's 24 bits") {
  constexpr std::int64_t kDepth = 8192;
  GemmCase c = gemm_case(parse_quant_format("q8c"), 3, 5, kDepth, /*seed=*/1, Fill::highest);
  for (std::int64_t t = 0; t < kDepth; ++t) {
    c.a[std::size_t(t)] = float(t % 3 - 1);            // sums near 0, although those of the shifted codes are large
    c.a[std::size_t(kDepth + t)] = float(t % 2 + 20);  // odd sums above 2^24
    c.a[std::size_t(2 * kDepth + t)] = t == 0 ? 1.0f : -120.0f;
  }
  const RowScaling scaling{RowScaling::Kind::fixed, 8, 1.0f, 0};
  const std::vector<float> right = product(*find_kernel("gemm_s8_q8_ref"), c, scaling);
  for (const KernelInfo& kernel : kernels()) {
    if (!kernel.peer || kernel.family != "gemm_s8_q8" || !includes(host_isa(), kernel.needs)) continue;
    INFO(kernel.name);
    CHECK(product(kernel, c, scaling) == right);
  }
}

TEST_CASE("oneDNN's convolution gives what the definition gives on numbers that float32 adds exactly") {
  if (!has_onednn()) return;
  OnednnConvolutionCase wanted;
  wanted.shape.batch = 2;
  wanted.shape.in_channels = 3;
  wanted.shape.out_channels = 5;
  wanted.shape.window = {{4, 6}, {2, 6}, {3, 3}, {2, 1}, {1, 1}, {1, 1}, {1, 1}};
  std::vector<float> x, w, y(2 * 5 * 2 * 6);
  std::vector<std::int8_t> codes;
  for (int i = 0; i < 2 * 3 * 4 * 6; ++i) x.push_back(float(i * 7 % 16) / 16);
  for (int i = 0; i < 5 * 3 * 9; ++i) codes.push_back(std::int8_t(i * 5 % 13 - 6));
  std::vector<std::uint16_t> halves;
  for (const std::int8_t code : codes) {
    w.push_back(code);
    halves.push_back(bf16_from_f32(code));
  }
  const auto at = [&](int sample, int channel, int row, int column) {
    const bool inside = row >= 0 && row < 4 && column >= 0 && column < 6;
    return inside ? x[std::size_t(((sample * 3 + channel) * 4 + row) * 6 + column)] : 0.0f;
  };
  std::vector<float> right;
  for (int i = 0; i < 2 * 5 * 2 * 6; ++i) {
    float sum = 0;
    for (int t = 0; t < 27; ++t)
      sum += at(i / 60, t / 9, i / 6 % 2 * 2 - 1 + t / 3 % 3, i % 6 - 1 + t % 3) * w[std::size_t(i / 12 % 5 * 27 + t)];
    right.push_back(sum);
  }
  for (const int threads : {1, 2}) {
    wanted.threads = threads;
    wanted.kind = OnednnConvolutionKind::f32_planes;
    wanted.weights = w.data();
    wanted.w_scale = {};
    onednn_convolution(wanted)(x.data(), y.data());
    CHECK(y == right);
    if (includes(host_isa(), Isa::avx512bf16)) {
      wanted.kind = OnednnConvolutionKind::bf16_planes;
      wanted.weights = halves.data();
      std::ranges::fill(y, 0.0f);
      onednn_convolution(wanted)(x.data(), y.data());
      CHECK(y == right);
    }
    if (!includes(host_isa(), Isa::avx512vnni)) continue;
    wanted.kind = OnednnConvolutionKind::u8_planes;
    wanted.weights = codes.data();
    wanted.x_scale = 0x1p-4f;
    wanted.w_scale.assign(5, 1.0f);
    std::ranges::fill(y, 0.0f);
    onednn_convolution(wanted)(x.data(), y.data());
    CHECK(y == right);
  }
}

}  // namespace qb
