#include "kernels/packed_matrix.h"

#include <doctest/doctest.h>

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
