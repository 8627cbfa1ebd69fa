#include "kernels/packed_matrix.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/kernels/gemm_case.h"

namespace qb {

TEST_CASE("every code at every place of a byte survives packing, from 1 to 8 bits") {
  for (int bits = 1; bits <= 8; ++bits) {
    const int levels = 1 << bits;
    UnpackedMatrix matrix;
    matrix.format = {CodeKind::integer, bits, Sharing::tensor, 0, false};
    matrix.n = levels;  // row r begins with code r: each code meets each of the 8 bit positions
    matrix.k = 17;
    for (int row = 0; row < levels; ++row)
      for (int j = 0; j < 17; ++j)
        matrix.codes.push_back(std::uint8_t((row + j * (j % 2 ? levels / 2 + 1 : 0)) % levels));
    matrix.scales = {1.0f};
    const PackedMatrix packed = pack(matrix);
    INFO(bits, " bits");
    CHECK(unpack_codes(packed) == matrix.codes);
    CHECK(packed.row_bytes() == (17 * bits + 7) / 8);
    CHECK(packed.codes.size() == std::size_t(levels * packed.row_bytes()));
  }
}

TEST_CASE("codes lie low bit first, and rows begin with a byte") {
  UnpackedMatrix matrix;
  matrix.format = parse_quant_format("q3t");
  matrix.n = 2;
  matrix.k = 3;
  matrix.codes = {1, 2, 7, 4, 0, 5};
  matrix.scales = {1.0f};
  const PackedMatrix packed = pack(matrix);
  const auto* bytes = packed.codes.as<std::uint8_t>();
  // 1 | 2 << 3 | 7 << 6 = 465 = 0x1d1; 4 | 0 << 3 | 5 << 6 = 324 = 0x144
  CHECK(std::vector<int>(bytes, bytes + 4) == std::vector<int>{0xd1, 0x01, 0x44, 0x01});
}

TEST_CASE("real values follow the formula by hand") {
  UnpackedMatrix matrix;
  matrix.format = parse_quant_format("q4g2z");
  matrix.n = 2;
  matrix.k = 3;
  matrix.codes = {0, 15, 8, 3, 4, 5};
  matrix.scales = {0.5f, 2.0f, 1.0f, 0.25f};
  matrix.zeros = {0, 8, 15, 5};
  CHECK(dequantize(pack(matrix)) == std::vector<float>{0.0f, 7.5f, 0.0f, -12.0f, -11.0f, 0.0f});
  matrix.format.zeros = false;
  matrix.zeros.clear();
  CHECK(dequantize(pack(matrix)) == std::vector<float>{-4.0f, 3.5f, 0.0f, -5.0f, -4.0f, -0.75f});
  matrix.format = parse_quant_format("t1c");
  matrix.codes = {0, 1, 1, 1, 0, 0};
  matrix.scales.clear();
  matrix.table = {-1.0f, 0.5f, 3.0f, 4.0f};
  CHECK(dequantize(pack(matrix)) == std::vector<float>{-1.0f, 0.5f, 0.5f, 4.0f, 3.0f, 3.0f});
}

TEST_CASE("levels, offsets and scales of two levels follow the formula by hand") {
  UnpackedMatrix matrix;
  matrix.format = parse_quant_format("q4g2o");
  matrix.n = 1;
  matrix.k = 4;
  matrix.codes = {0, 15, 8, 3};
  matrix.scales = {0.5f, 2.0f};
  matrix.offsets = {-1.0f, 0.25f};
  CHECK(dequantize(pack(matrix)) == std::vector<float>{-1.0f, 6.5f, 16.25f, 6.25f});
  matrix.format = parse_quant_format("e2m1c");
  matrix.offsets.clear();
  matrix.scales = {-0.5f};
  CHECK(dequantize(pack(matrix)) == std::vector<float>{-0.0f, 3.0f, 0.0f, -0.75f});  // 0, -6, -0, 1.5
  matrix.format = parse_quant_format("q2g2o.i4");
  matrix.codes = {0, 3, 2, 1};
  matrix.super_scales = {0.25f};
  matrix.super_offsets = {-0.5f};
  matrix.scales = {15 * 0.25f, 0.0f};
  matrix.offsets = {-0.5f, -3.0f};
  const PackedMatrix packed = pack(matrix);
  CHECK(dequantize(packed) == std::vector<float>{-0.5f, 10.75f, -3.0f, -3.0f});
  CHECK(scale_step(packed, 0, 0) == 15);
  CHECK(scale_step(packed, 0, 1) == 0);
  CHECK(offset_step(packed, 0, 1) == 6);
}

TEST_CASE("trits lie five to a byte, the first lowest") {
  UnpackedMatrix matrix;
  matrix.format = parse_quant_format("tritt");
  matrix.n = 2;
  matrix.k = 6;
  matrix.codes = {2, 1, 0, 0, 1, 2, 2, 2, 2, 2, 2, 0};
  matrix.scales = {0.5f};
  const PackedMatrix packed = pack(matrix);
  const auto* bytes = packed.codes.as<std::uint8_t>();
  // 2 + 1 * 3 + 1 * 81 = 86; 2 * (1 + 3 + 9 + 27 + 81) = 242
  CHECK(std::vector<int>(bytes, bytes + 4) == std::vector<int>{86, 2, 242, 0});
  CHECK(unpack_codes(packed) == matrix.codes);
  CHECK(dequantize(packed)[0] == 0.5f);
  CHECK(dequantize(packed)[11] == -0.5f);
}

TEST_CASE("every format survives packing with whatever its codes and scales can be") {
  for (const char* text :
       {"bf16",    "q4g32.f16",       "q5g32o.f16",   "q4g32o.i6",    "q6g16.i8",     "q2g16o.i4",    "q8g32.e8m0",
        "binaryc", "ternaryg256.f16", "tritg256.f16", "e2m1g32.e8m0", "e2m1g16.e4m3", "e2m3g32.e8m0", "e3m2g32.e8m0",
        "e4m3c",   "e5m2g32.e8m0",    "nf4g64",       "af4g64",       "iq4nlg32.i6",  "pot3g16",      "pot5c",
        "apot4c",  "apot7g64.f16",    "nf4g16.dq8",   "t3g32o",       "t4g64o.f16"}) {
    INFO(text);
    const PackedMatrix packed = random_weights(parse_quant_format(text), 3, 300, /*seed=*/5);
    CHECK(random_weights(parse_quant_format(text), 3, 300, /*seed=*/5).digest == packed.digest);
    const std::vector<float> values = dequantize(packed);
    CHECK(std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }));
    CHECK(std::any_of(values.begin(), values.end(), [](float value) { return value != 0; }));
    if (is_float(packed.format.kind)) continue;
    const UnpackedMatrix again{packed.format, packed.n,     packed.k,       unpack_codes(packed), packed.scales,
                               packed.zeros,  packed.table, packed.offsets, packed.super_scales,  packed.super_offsets};
    CHECK(pack(again).digest == packed.digest);
  }
}

TEST_CASE("float weights keep their bits, from strided rows too") {
  const std::vector<float> values = {1.0f, -0.0f, 99.0f, 1e-40f, 3.5f, 99.0f};
  const PackedMatrix packed = pack_f32({values.data(), 2, 2, 3});
  const std::vector<float> back = dequantize(packed);
  CHECK(back == std::vector<float>{1.0f, -0.0f, 1e-40f, 3.5f});
  CHECK(std::signbit(back[1]));
  CHECK(packed_bytes(packed) == 16);
  CHECK(bits_per_weight(packed) == 32.0);
}

TEST_CASE("bits per weight count scales, zeros and tables") {
  // 4 bits, and per 32 weights 4 bytes of scale: 5 bits; with a zero point byte: 5.25.
  CHECK(bits_per_weight(random_weights(parse_quant_format("q4g32"), 8, 64, 1)) == 5.0);
  CHECK(bits_per_weight(random_weights(parse_quant_format("q4g32z"), 8, 64, 1)) == 5.25);
  CHECK(packed_bytes(random_weights(parse_quant_format("t2c"), 3, 10, 1)) == 3 * 3 + 3 * 4 * 4);
  // As the GGUF and OCP block types count themselves: bytes per block over weights per block.
  const auto bits = [](const char* text) {
    return bits_per_weight(random_weights(parse_quant_format(text), 8, 512, 1));
  };
  CHECK(bits("q4g32.f16") == 4.5);                        // Q4_0: 18 bytes per 32
  CHECK(bits("q5g32o.f16") == 6.0);                       // Q5_1: 24 bytes per 32
  CHECK(bits("q4g32o.i6") == 4.5);                        // Q4_K: 144 bytes per 256
  CHECK(bits("q6g16.i8") == 6.5625);                      // Q6_K: 210 bytes per 256
  CHECK(bits("q3g16.i6") == 3.4375);                      // Q3_K: 110 bytes per 256
  CHECK(bits("q2g16o.i4") == 2.625);                      // Q2_K: 84 bytes per 256
  CHECK(bits("iq4nlg32.i6") == 4.25);                     // IQ4_XS: 136 bytes per 256
  CHECK(bits("ternaryg256.f16") == 2.0625);               // TQ2_0: 66 bytes per 256
  CHECK(bits("e2m1g32.e8m0") == 4.25);                    // MXFP4: 17 bytes per 32
  CHECK(bits("e2m1g16.e4m3") == 4.5 + 32.0 / (8 * 512));  // NVFP4: 9 bytes per 16, and one float32
}

TEST_CASE("the digest names the contents: equal for equal, different for any change") {
  UnpackedMatrix matrix;
  matrix.format = parse_quant_format("q4cz");
  matrix.n = 2;
  matrix.k = 2;
  matrix.codes = {1, 2, 3, 4};
  matrix.scales = {1.0f, 2.0f};
  matrix.zeros = {8, 8};
  std::set<std::string> digests = {pack(matrix).digest};
  CHECK(pack(matrix).digest == *digests.begin());
  CHECK(digests.begin()->size() == 64);
  UnpackedMatrix other = matrix;
  other.codes[3] = 5;
  digests.insert(pack(other).digest);
  other = matrix;
  other.scales[1] = 2.5f;
  digests.insert(pack(other).digest);
  other = matrix;
  other.zeros[0] = 7;
  digests.insert(pack(other).digest);
  other = matrix;
  other.n = 1;
  other.k = 4;
  other.scales = {1.0f};
  other.zeros = {8};
  digests.insert(pack(other).digest);
  CHECK(digests.size() == 5);
}

}  // namespace qb
