#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/base/error.h"
#include "kernels/base/random.h"
#include "kernels/gguf_blocks/bit_fields.h"
#include "kernels/gguf_blocks/block_types.h"
#include "kernels/gguf_blocks/blocks.h"
#include "kernels/gguf_blocks/convert.h"
#include "kernels/packed_matrix.h"
#include "tests/golden_json.h"

using namespace qb;

namespace {

std::vector<std::uint8_t> bytes_of(const nlohmann::json& hex) {
  const std::string text = hex.get<std::string>();
  std::vector<std::uint8_t> bytes;
  for (std::size_t at = 0; at + 2 <= text.size(); at += 2)
    bytes.push_back(std::uint8_t(std::stoi(text.substr(at, 2), nullptr, 16)));
  return bytes;
}

/// The golden inputs: the vector of a case as the matrix that its path quantizes.
struct GoldenInputs {
  nlohmann::json file = golden("gguf/inputs.json");

  std::vector<float> values(const nlohmann::json& one) const {
    return floats_of(file["inputs"][one["input"].get<std::string>()]);
  }
  /// The reference path takes one row of 512; the public entry two rows of 256 that share the importances.
  static std::int64_t rows(const nlohmann::json& one) { return one["path"] == "ref" ? 1 : 2; }
  std::vector<float> importance(const nlohmann::json& one) const {
    return one["imatrix"].get<bool>() ? floats_of(file["inputs"]["_imatrix"]) : std::vector<float>{};
  }
};

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

struct Dot {
  double value = 0, magnitude = 0;  ///< the sum, and the sum of the magnitudes of its terms
  void add(double term) {
    value += term;
    magnitude += std::abs(term);
  }
};

/// The dot product of one row of blocks with activations: integers per group, then float64.
Dot dot_of_blocks(const BlockType& type, const std::vector<std::uint8_t>& weights, const BlockType& other,
                  const std::vector<std::uint8_t>& activations) {
  Dot dot;
  const std::span<const float> levels = levels_of(type.levels);
  const int step = std::min(type.group, other.weights);
  for (int first = 0; first < 512; first += step) {
    const BlockParts w = parts_of_block(type, weights, first / type.weights);
    const BlockParts x = parts_of_block(other, activations, first / other.weights);
    double sum = 0, sum_x = 0;
    for (int i = first; i < first + step; ++i) {
      const std::uint8_t code = w.codes[std::size_t(i % type.weights)];
      const double level = levels.empty() ? code - type.zero : double(levels[code]);
      const int activation = x.codes[std::size_t(i % other.weights)] - 128;
      sum += level * activation;
      sum_x += activation;
    }
    const auto group = std::size_t(first % type.weights / type.group);
    dot.add(double(w.scale) * w.steps[group] * double(x.scale) * sum);
    if (!type.has_offsets) continue;
    // Q8_1 stores its scaled sum in float16, and that is what counts.
    const std::uint8_t* block = activations.data() + first / other.weights * other.bytes;
    const double scaled_sum = other.name == "q8_1" ? double(read_f16(block + 2)) : double(x.scale) * sum_x;
    dot.add(double(w.offset) * w.offset_steps[group] * scaled_sum);
  }
  return dot;
}

std::vector<std::uint8_t> quantized_quickly(const std::vector<float>& values) {
  std::vector<std::uint8_t> blocks(values.size() / 32 * 18);
  for (std::size_t block = 0; block < values.size() / 32; ++block)
    quantize_iq4_nl_quick({values.data() + 32 * block, nullptr, 0}, blocks.data() + 18 * block);
  return blocks;
}

}  // namespace

TEST_CASE("every golden block: the bytes that ggml writes, and the values that it reads") {
  const GoldenInputs inputs;
  if (inputs.file.is_null()) return;
  for (const BlockType& type : block_types()) {
    const nlohmann::json file = golden(fmt::format("gguf/{}.json", type.name));
    REQUIRE(file["ggml_type_id"] == type.id);
    REQUIRE(file["block_size"] == type.weights);
    REQUIRE(file["type_size"] == type.bytes);
    REQUIRE(file["cases"].size() >= 8);
    for (const auto& one : file["cases"]) {
      INFO(fmt::format("{} {} {} imatrix {}", type.name, one["input"].dump(), one["path"].dump(),
                       one["imatrix"].get<bool>()));
      const std::vector<float> values = inputs.values(one), importance = inputs.importance(one);
      const std::int64_t rows = GoldenInputs::rows(one), columns = std::ssize(values) / rows;
      const bool quick = type.name == "iq4_nl" && one["path"] == "ref";
      const std::vector<std::uint8_t> wanted = bytes_of(one["quant_hex"]);
      const std::vector<std::uint8_t> blocks =
          quick ? quantized_quickly(values)
                : quantize_blocks(type, {values.data(), rows, columns, columns}, importance);
      const std::vector<float> golden_values = floats_of(one["dequant_f32_hex"]);
      CHECK(bits_of(dequantize_blocks(type, wanted, rows, columns)) == bits_of(golden_values));
      // ggml leaves the codes of an all-zero block unwritten there: only its values are defined, up to their sign.
      if (quick && one["input"] == "zeros")
        CHECK(dequantize_blocks(type, blocks, rows, columns) == golden_values);
      else
        CHECK(blocks == wanted);
    }
  }
}

TEST_CASE("dot products with quantized activations agree with ggml's generic ones") {
  const GoldenInputs inputs;
  if (inputs.file.is_null()) return;
  const std::vector<float> activations = floats_of(inputs.file["inputs"]["_activation"]);
  int checked = 0;
  for (const BlockType& type : block_types()) {
    if (type.activation.empty()) continue;
    const BlockType& other = block_type(type.activation);
    const std::vector<std::uint8_t> x = quantize_blocks(other, {activations.data(), 1, 512, 512});
    const nlohmann::json file = golden(fmt::format("gguf/{}.json", type.name));
    for (const auto& one : file["cases"]) {
      INFO(fmt::format("{} {} {}", type.name, one["input"].dump(), one["path"].dump()));
      REQUIRE(one["dot_act"] == type.activation);
      const Dot dot = dot_of_blocks(type, bytes_of(one["quant_hex"]), other, x);
      const auto wanted =
          std::bit_cast<float>(std::uint32_t(std::stoul(one["dot_f32_bits"].get<std::string>(), nullptr, 16)));
      // The integer sums are exact on both sides; ours is then exact to 2^-53. ggml rounds a term of a block up to four
      // times (two factors, their products) and the sum once per block, each by at most 2^-24 of the sum of magnitudes.
      CHECK(std::abs(dot.value - double(wanted)) <= 0x1p-24 * (4 + 512.0 / type.weights) * dot.magnitude);
      ++checked;
    }
  }
  CHECK(checked > 250);
}

TEST_CASE("unpacking and packing give back any bytes that mean something, and never fail on others") {
  Random random(20260823);
  for (const BlockType& type : block_types()) {
    std::vector<std::uint8_t> block(std::size_t(type.bytes)), again(std::size_t(type.bytes));
    std::vector<float> values(std::size_t(type.weights)), values_again(std::size_t(type.weights));
    int same = 0, refused = 0;
    for (int round = 0; round < 500; ++round) {
      for (std::uint8_t& byte : block) byte = std::uint8_t(random() & 0xff);
      BlockParts parts;
      try {
        parts = parts_of_block(type, block, 0);
      } catch (const DataError&) {
        ++refused;  // a float16 of random bits is no number in 1 of 16 cases; a 2-bit code is no trit in 1 of 4
        continue;
      }
      dequantize_parts(type, parts, values.data());
      if (!type.pack) continue;
      type.pack(parts, again.data());
      same += again == block;
      dequantize_parts(type, parts_of_block(type, again, 0), values_again.data());
      CHECK(bits_of(values_again) == bits_of(values));
    }
    INFO(type.name);
    CHECK((type.name == "tq2_0" || refused < 120));
    // Bytes with a second form: E2M1's minus zero, the 13 trit bytes beyond 3^5, the sign bits of NVFP4's scales.
    const bool redundant = type.levels == LevelSet::e2m1 || type.name.starts_with("tq");
    if (type.pack && !redundant) CHECK(same == 500 - refused);
  }
}

TEST_CASE("weights of any magnitude are stored or refused, and zeros stay zeros") {
  Random random(5);
  for (const BlockType& type : block_types()) {
    std::vector<float> row(512);
    const std::vector<float> importance(512, 0.5f);
    for (const int exponent : {-149, -140, -126, -60, -24, -14, 0, 15, 16, 60, 100, 127}) {
      for (float& x : row) x = static_cast<float>(std::ldexp(random.uniform(-1.0, 1.0), exponent));
      row[7] = 0;
      INFO(fmt::format("{} 2^{}", type.name, exponent));
      for (const auto& factors : {std::vector<float>{}, importance}) {
        try {
          const auto decoded =
              dequantize_blocks(type, quantize_blocks(type, {row.data(), 1, 512, 512}, factors), 1, 512);
          for (const float x : decoded) CHECK(std::isfinite(x));
        } catch (const DataError& error) {
          CHECK(exponent >= 15);
          CHECK(std::string(error.what()).find("too large") != std::string::npos);
        }
      }
    }
    std::fill(row.begin(), row.end(), 0.0f);
    for (const auto& factors : {std::vector<float>{}, importance})
      for (const float x : dequantize_blocks(type, quantize_blocks(type, {row.data(), 1, 512, 512}, factors), 1, 512))
        CHECK(x == 0.0f);
  }
}

TEST_CASE("an importance moves the error away from the weights that matter") {
  Random random(11);
  std::vector<float> row(512), importance(512);
  for (std::size_t i = 0; i < 512; ++i) {
    row[i] = static_cast<float>(random.normal());
    importance[i] = i % 8 == 0 ? 100.0f : 0.01f;
  }
  for (const BlockType& type : block_types()) {
    if (type.activation.empty()) continue;
    const auto error = [&](std::span<const float> factors) {
      const auto decoded = dequantize_blocks(type, quantize_blocks(type, {row.data(), 1, 512, 512}, factors), 1, 512);
      double sum = 0;
      for (std::size_t i = 0; i < 512; i += 8) sum += std::pow(double(decoded[i]) - double(row[i]), 2);
      return sum;
    };
    INFO(type.name);
    if (type.has_importance)
      CHECK(error(importance) < error({}));
    else
      CHECK(error(importance) == error({}));
  }
}

TEST_CASE("bad sizes, bad numbers and unknown types are refused in words") {
  const BlockType& type = block_type("q4_K");
  std::vector<float> row(512, 1.0f);
  CHECK_THROWS_WITH_AS(quantize_blocks(type, {row.data(), 1, 300, 300}),
                       doctest::Contains("rows of 300 weights cannot be divided"), Unsupported);
  CHECK_THROWS_AS(block_bytes(type, 3, 128), Unsupported);
  CHECK(block_bytes(type, 3, 512) == 864);
  row[256 + 9] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH_AS(quantize_blocks(type, {row.data(), 2, 256, 256}), doctest::Contains("at row 1, column 9"),
                       DataError);
  row[256 + 9] = 0;
  std::vector<float> importance(512, 1.0f);
  importance[3] = -1;
  CHECK_THROWS_WITH_AS(quantize_blocks(type, {row.data(), 1, 512, 512}, importance),
                       doctest::Contains("importance -1 of column 3"), DataError);
  const std::vector<std::uint8_t> bytes(288);
  CHECK_THROWS_WITH_AS(dequantize_blocks(type, bytes, 1, 256), doctest::Contains("288 bytes instead of 144"),
                       DataError);
  CHECK_THROWS_WITH_AS(block_type("q4_k"), doctest::Contains("did you mean 'q4_K'?"), InputError);
  CHECK_THROWS_AS(block_type(99), DataError);
  CHECK(block_type(14).name == "q6_K");
}

TEST_CASE("as packed matrices, golden blocks decode to the same bits and go back to the same bytes") {
  const GoldenInputs inputs;
  if (inputs.file.is_null()) return;
  for (const BlockType& type : block_types()) {
    if (!type.pack) continue;
    const nlohmann::json file = golden(fmt::format("gguf/{}.json", type.name));
    for (const auto& one : file["cases"]) {
      INFO(fmt::format("{} {} {}", type.name, one["input"].dump(), one["path"].dump()));
      const std::vector<std::uint8_t> blocks = bytes_of(one["quant_hex"]);
      const std::int64_t rows = GoldenInputs::rows(one), columns = 512 / rows;
      const PackedMatrix matrix = packed_from_blocks(type, blocks, rows, columns);
      CHECK(to_text(matrix.format) == type.format);
      const std::vector<float> values = dequantize_blocks(type, blocks, rows, columns);
      CHECK(bits_of(dequantize(matrix)) == bits_of(values));
      const std::vector<std::uint8_t> again = blocks_from_packed(type, matrix);
      // Where a block's factor is 0, the steps that it multiplies are lost, and with them the signs of zeros.
      const auto is_zero = [](float factor) { return factor == 0; };
      if (std::none_of(matrix.super_scales.begin(), matrix.super_scales.end(), is_zero) &&
          std::none_of(matrix.super_offsets.begin(), matrix.super_offsets.end(), is_zero))
        CHECK(again == blocks);
      else
        CHECK(dequantize_blocks(type, again, rows, columns) == values);
    }
  }
}

TEST_CASE("matrices that a block type cannot hold are refused") {
  UnpackedMatrix matrix;
  matrix.format = parse_quant_format("q4g32.f16");
  matrix.n = 1;
  matrix.k = 32;
  matrix.codes.assign(32, 3);
  matrix.scales = {0.5f};
  CHECK(blocks_from_packed(block_type("q4_0"), pack(matrix)).size() == 18);
  CHECK_THROWS_WITH_AS(blocks_from_packed(block_type("q5_0"), pack(matrix)),
                       doctest::Contains("q5_0 blocks store q5g32.f16 matrices; this one is q4g32.f16"), Unsupported);
  matrix.k = 31;
  matrix.codes.resize(31);
  CHECK_THROWS_AS(blocks_from_packed(block_type("q4_0"), pack(matrix)), Unsupported);
  UnpackedMatrix shifted;
  shifted.format = parse_quant_format("q2g64z.f16");
  shifted.n = 1;
  shifted.k = 64;
  shifted.codes.assign(64, 0);
  shifted.scales = {1.0f};
  shifted.zeros = {2};
  CHECK_THROWS_WITH_AS(blocks_from_packed(block_type("q2_0"), pack(shifted)), doctest::Contains("row 0, column 0"),
                       Unsupported);
}
