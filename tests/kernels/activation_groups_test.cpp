// Activations in groups of 32 beside those of ggml: the blocks of Q8_0, and dot products with them.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdlib>

#include "kernels/gguf_blocks/block_types.h"
#include "kernels/gguf_blocks/convert.h"
#include "kernels/quantize_rows/quantize_rows.h"
#include "tests/golden_json.h"
#include "tests/kernels/gemm_case.h"

namespace qb {

namespace {

constexpr std::int64_t kValues = 512, kShared = 32;

std::vector<std::uint8_t> bytes_of(const nlohmann::json& hex) {
  const std::string text = hex.get<std::string>();
  std::vector<std::uint8_t> bytes;
  for (std::size_t at = 0; at + 2 <= text.size(); at += 2)
    bytes.push_back(std::uint8_t(std::stoi(text.substr(at, 2), nullptr, 16)));
  return bytes;
}

double sum_of_magnitudes(const std::vector<float>& a, const std::vector<float>& w) {
  double sum = 0;
  for (std::size_t t = 0; t < a.size(); ++t) sum += std::abs(double(a[t]) * double(w[t]));
  return sum;
}

}  // namespace

TEST_CASE("codes of groups of 32 are those of Q8_0 but for ties, and scales those before they become float16") {
  const nlohmann::json inputs = golden("gguf/inputs.json"), file = golden("gguf/q8_0.json");
  if (inputs.is_null() || file.is_null()) return;
  for (const auto& one : file["cases"]) {
    const std::vector<float> x = floats_of(inputs["inputs"][one["input"].get<std::string>()]);
    const std::vector<std::uint8_t> blocks = bytes_of(one["quant_hex"]);
    std::vector<std::int8_t> codes(x.size());
    std::vector<float> scale(x.size() / kShared);
    quantize_groups_ref({x.data(), codes.data(), kValues, kValues, kShared, 127, kShared, scale.data()});
    INFO(one["input"].dump());
    const BlockType& type = block_type("q8_0");
    for (std::size_t block = 0; block < scale.size(); ++block) {
      const BlockParts parts = parts_of_block(type, blocks, int(block));
      const bool zero = parts.scale == 0 && scale[block] == 1;
      // float16 rounds to 2^-11 of a value, or to half of 2^-24 where that is more.
      if (!zero) CHECK(std::abs(parts.scale - scale[block]) <= std::max(scale[block] * 0x1p-11f, 0x1p-25f));
      for (std::size_t t = block * kShared; t < (block + 1) * kShared; ++t) {
        const int theirs = int(parts.codes[t % kShared]) - 128;
        const double quotient = std::abs(double(x[t]) / double(scale[block]));
        // ggml multiplies with the rounded reciprocal and rounds ties away from zero.
        const bool tie = std::abs(quotient - std::floor(quotient) - 0.5) <= quotient * 0x1p-22;
        CHECK(std::abs(int(codes[t]) - theirs) <= (tie ? 1 : 0));
      }
    }
  }
}

TEST_CASE("products with the activations of Q8_0 are ggml's dot products") {
  const nlohmann::json inputs = golden("gguf/inputs.json");
  if (inputs.is_null()) return;
  const std::vector<float> x = floats_of(inputs["inputs"]["_activation"]);
  const BlockType& q8_0 = block_type("q8_0");
  std::vector<std::uint8_t> blocks(std::size_t(block_bytes(q8_0, 1, kValues)));
  for (std::int64_t block = 0; block < kValues / q8_0.weights; ++block)
    q8_0.quantize({x.data() + block * q8_0.weights, nullptr, 0}, blocks.data() + block * q8_0.bytes);
  // The largest code of a block is 127, so that its values are quantized to the same codes and scale again.
  const std::vector<float> rounded = dequantize(packed_from_blocks(q8_0, blocks, 1, kValues));
  int compared = 0;
  double farthest = 0;
  for (const BlockType& type : block_types()) {
    const nlohmann::json file = golden("gguf/" + std::string(type.name) + ".json");
    if (type.activation != "q8_0" || type.group != kShared || file.is_null()) continue;
    for (const auto& one : file["cases"]) {
      const PackedMatrix w = packed_from_blocks(type, bytes_of(one["quant_hex"]), 1, kValues);
      const std::vector<float> real = dequantize(w);
      const double wanted =
          std::bit_cast<float>(std::uint32_t(std::stoul(one["dot_f32_bits"].get<std::string>(), nullptr, 16)));
      const double magnitude = sum_of_magnitudes(rounded, real);
      const RowScaling scaling{.kind = RowScaling::Kind::dynamic_rows, .group = kShared};
      for (const KernelInfo& kernel : kernels()) {
        if (!takes_activation_group(kernel, w.format, kShared) || !kernel.accepts(w.format, kValues) ||
            !includes(host_isa(), kernel.needs))
          continue;
        INFO(kernel.name, " ", type.name, " ", one["input"].dump());
        // A term meets a rounding of its own, one of the scales' product, and one for each of the 16 sums, on both
        // sides.
        const double y = product(kernel, {1, w, rounded}, scaling)[0];
        CHECK(std::abs(y - wanted) <= 2 * (kValues / kShared + 2) * 0x1p-24 * magnitude);
        // Without the rounding of scales to float16 a product is within 2^-11, and what ties of codes make.
        const double plain = product(kernel, {1, w, x}, scaling)[0];
        if (magnitude > 0) farthest = std::max(farthest, std::abs(plain - wanted) / magnitude);
        ++compared;
      }
    }
  }
  CHECK(compared >= 5 * 8);
  CHECK(farthest <= 0x1p-11);
  MESSAGE("scales in float32 instead of float16 change products by up to ", farthest, " of sum |a w|");
}

}  // namespace qb
