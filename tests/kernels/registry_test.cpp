#include "kernels/registry.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <map>
#include <set>

#include "kernels/base/error.h"
#include "kernels/base/files.h"

namespace qb {

namespace {

std::string_view chosen(std::string_view choice, Activations activations, std::string_view format, Isa isa) {
  const KernelInfo* kernel = choose_kernel(choice, activations, parse_quant_format(format), 64, 8, isa);
  return kernel ? kernel->name : std::string_view("none");
}

}  // namespace

TEST_CASE("the table keeps its promises") {
  std::set<std::string_view> names;
  std::map<std::string_view, int> references;
  std::string_view family;
  std::set<std::string_view> families;
  for (const KernelInfo& kernel : kernels()) {
    INFO(kernel.name);
    CHECK(names.insert(kernel.name).second);
    CHECK(kernel.name.starts_with(kernel.family));
    CHECK((kernel.run != nullptr) == (kernel.operation == Operation::product));
    CHECK((kernel.depthwise != nullptr) == (kernel.operation == Operation::depthwise));
    CHECK(kernel.column_step >= 1);
    CHECK(kernel.min_rows >= 1);
    CHECK(kernel.min_rows <= kernel.max_rows);
    if (kernel.family != family) {
      CHECK(families.insert(kernel.family).second);  // rows of a family stand together
      CHECK(kernel.reference);                       // and begin with the reference
    }
    family = kernel.family;
    references[family] += kernel.reference;
    if (kernel.reference) CHECK(kernel.needs == Isa::none);
    CHECK(&reference_of(reference_of(kernel)) == &reference_of(kernel));
    const auto file = std::filesystem::path(QB_SOURCE_ROOT) / "kernels" / (kernel.peer ? "peers" : kernel.family) /
                      (std::string(kernel.name) + ".cpp");
    CHECK(std::filesystem::exists(file));
  }
  for (const auto& [name, count] : references) CHECK(count == 1);
}

TEST_CASE("best is the last usable variant of the most specific family") {
  const Isa none = Isa::none;
  CHECK(chosen("best", Activations::f32, "f32", none) == "gemm_f32_f32_ref");
  CHECK(chosen("best", Activations::s8, "q4g32", none) == "gemm_s8_int_ref");
  CHECK(chosen("best", Activations::s8, "q8c", none) == "gemm_s8_q8_ref");
  CHECK(chosen("best", Activations::s8, "q8g32", none) == "gemm_s8_int_ref");
  CHECK(chosen("best", Activations::s8, "t4c", none) == "none");
  CHECK(chosen("best", Activations::s8, "f32", none) == "none");
#if defined(__x86_64__)
  CHECK(chosen("best", Activations::f32, "q4g32", none) == "gemm_f32_w_ref");
  CHECK(chosen("best", Activations::f32, "q4g32", Isa::avx2) == "gemm_f32_w_avx2");
  CHECK(chosen("best", Activations::f32, "e4m3c", isa_cap("avx512")) == "gemm_f32_w_avx512");
  CHECK(chosen("best", Activations::f32, "q4g24", isa_cap("avx512")) == "gemm_f32_f32_avx512");
  CHECK(chosen("best", Activations::bf16, "nf4g64", Isa::avx2) == "gemm_bf16_w_avx2");
  CHECK(chosen("best", Activations::bf16, "nf4g64", isa_cap("avx512") | Isa::avx512bf16) == "gemm_bf16_w_avx512bf16");
  CHECK(chosen("best", Activations::bf16, "e4m3c", isa_cap("avx512") | Isa::avx512bf16) == "gemm_bf16_w_avx512bf16");
  CHECK(chosen("best", Activations::bf16, "e4m3c", isa_cap("avx512") | Isa::avx512bf16 | Isa::avx512vbmi) ==
        "gemm_bf16_w_fp8_avx512bf16vbmi");
  CHECK(chosen("best", Activations::bf16, "bf16", isa_cap("avx512") | Isa::avx512bf16) == "gemm_bf16_bf16_avx512bf16");
  CHECK(chosen("best", Activations::f32, "f32", Isa::avx2) == "gemm_f32_f32_avx2");
  CHECK(chosen("best", Activations::f32, "f32", isa_cap("avx512")) == "gemm_f32_f32_avx512");
  CHECK(chosen("best", Activations::s8, "q8c", isa_cap("avx2")) == "gemm_s8_q8_avx2");
  CHECK(chosen("best", Activations::s8, "q8c", isa_cap("avx512")) == "gemm_s8_q8_avxvnni");
  CHECK(chosen("best", Activations::s8, "q8c", isa_cap("avx512vnni")) == "gemm_s8_q8_avx512vnni");
  CHECK(chosen("best", Activations::s8, "q4c", isa_cap("best")) == "gemm_s8_int4_avx512vnni");
#elif defined(__aarch64__)
  CHECK(chosen("best", Activations::f32, "q4g32", Isa::neon) == "gemm_f32_w_neon");
  CHECK(chosen("best", Activations::f32, "q4g24", Isa::neon) == "gemm_f32_f32_neon");
  CHECK(chosen("best", Activations::bf16, "q4g32", Isa::neon) == "gemm_bf16_w_neon");
  CHECK(chosen("best", Activations::bf16, "bf16", Isa::neon) == "gemm_bf16_bf16_neon");
#endif
}

TEST_CASE("every source of a variant has its row") {
  const auto folder = std::filesystem::path(QB_SOURCE_ROOT) / "kernels";
  const std::string table = read_file(folder / "kernel_table.inc");
  const std::set<std::string> suffixes = {"ref",        "avx2",       "avxvnni",    "avx512",
                                          "avx512bf16", "avx512vnni", "avx512vbmi", "avx512vpopcnt",
                                          "neon",       "dotprod",    "i8mm"};
  int variants = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string stem = entry.path().stem(), family = entry.path().parent_path().filename();
    const std::string suffix = stem.substr(stem.rfind('_') + 1);
    if (entry.path().extension() != ".cpp" || !stem.starts_with(family) || !suffixes.contains(suffix)) continue;
    if (!family.starts_with("gemm_") && !family.starts_with("depthwise_")) continue;
    ++variants;
    const std::string part = stem.substr(family.size(), stem.size() - family.size() - suffix.size() - 1);
    const std::string product = "QB_PRODUCT(" + family + ", " + part + ", " + suffix + ",";
    const std::string depthwise = "QB_DEPTHWISE(" + family + ", " + suffix + ",";
    CHECK_MESSAGE((table.find(product) != table.npos || table.find(depthwise) != table.npos), stem);
  }
  CHECK(variants > 40);
}

TEST_CASE("reference is the family's reference, under any cap") {
  CHECK(chosen("reference", Activations::s8, "q4g32", isa_cap("best")) == "gemm_s8_int_ref");
  CHECK(chosen("reference", Activations::f32, "t4g24", isa_cap("best")) == "gemm_f32_f32_ref");
  CHECK(chosen("reference", Activations::s8, "t4c", isa_cap("best")) == "none");
}

TEST_CASE("a name means that kernel where it applies, and the best of its instructions elsewhere") {
  CHECK(chosen("gemm_s8_q8_ref", Activations::s8, "q4c", isa_cap("best")) == "gemm_s8_q8_ref");
  CHECK(chosen("gemm_s8_q8_ref", Activations::f32, "f32", isa_cap("best")) == "gemm_f32_f32_ref");
#if defined(__x86_64__)
  CHECK(chosen("gemm_s8_q8_avx2", Activations::s8, "q8c", isa_cap("best")) == "gemm_s8_q8_avx2");
  CHECK(chosen("gemm_s8_q8_avx2", Activations::s8, "q4g32", isa_cap("best")) == "gemm_s8_int_avx2");
  CHECK(chosen("gemm_s8_q8_avx2", Activations::f32, "f32", isa_cap("best")) == "gemm_f32_f32_avx2");
  CHECK_THROWS_WITH_AS(chosen("gemm_s8_q8_avx2", Activations::s8, "q8c", Isa::none),
                       "kernel 'gemm_s8_q8_avx2' needs avx2, but scalar is what may be used here", Unsupported);
#endif
}

TEST_CASE("an unknown choice is refused with the nearest name") {
  CHECK_THROWS_AS(check_kernel_choice(""), InputError);
  CHECK_THROWS_WITH_AS(check_kernel_choice("gemm_s8_q8_rfe"),
                       "kernel 'gemm_s8_q8_rfe' is not known; did you mean 'gemm_s8_q8_ref'?", InputError);
  CHECK_THROWS_WITH_AS(check_kernel_choice("bset"), "kernel 'bset' is not known; did you mean 'best'?", InputError);
  CHECK_NOTHROW(check_kernel_choice("reference"));
}

}  // namespace qb
