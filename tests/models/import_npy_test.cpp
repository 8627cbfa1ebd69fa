#include <vector>

#include "models/import.h"
#include "tests/models/damaged_bytes.h"

namespace qb {
namespace {

// Written by numpy 2 (numpy.save), printed as hexadecimal digits.
constexpr std::string_view kFloats23 =
    "934e554d5059010076007b276465736372273a20273c6634272c2027666f727472616e5f6f72646572273a2046616c73652c2027736861"
    "7065273a2028322c2033292c207d2020202020202020202020202020202020202020202020202020202020202020202020202020202020"
    "20202020202020202020202020202020200a0000803f00002040000040c0000080400000a0400000c040";
constexpr std::string_view kFortran23 =
    "934e554d5059010076007b276465736372273a20273c6634272c2027666f727472616e5f6f72646572273a20547275652c202773686170"
    "65273a2028322c2033292c207d202020202020202020202020202020202020202020202020202020202020202020202020202020202020"
    "20202020202020202020202020202020200a0000803f00008040000020400000a040000040c00000c040";
constexpr std::string_view kScalar =
    "934e554d5059010076007b276465736372273a20277c6931272c2027666f727472616e5f6f72646572273a2046616c73652c2027736861"
    "7065273a2028292c207d202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020"
    "20202020202020202020202020202020200af9";
constexpr std::string_view kShorts =
    "934e554d5059010076007b276465736372273a20273c7532272c2027666f727472616e5f6f72646572273a2046616c73652c2027736861"
    "7065273a2028322c292c207d20202020202020202020202020202020202020202020202020202020202020202020202020202020202020"
    "20202020202020202020202020202020200a0100ffff";
constexpr std::string_view kFlags =
    "934e554d5059010076007b276465736372273a20277c6231272c2027666f727472616e5f6f72646572273a2046616c73652c2027736861"
    "7065273a2028322c292c207d20202020202020202020202020202020202020202020202020202020202020202020202020202020202020"
    "20202020202020202020202020202020200a0100";
constexpr std::string_view kBigEndian =
    "934e554d5059010076007b276465736372273a20273e6934272c2027666f727472616e5f6f72646572273a2046616c73652c2027736861"
    "7065273a2028322c292c207d20202020202020202020202020202020202020202020202020202020202020202020202020202020202020"
    "20202020202020202020202020202020200a0000000100000002";
constexpr std::string_view kEmpty =
    "934e554d5059010076007b276465736372273a20273c6632272c2027666f727472616e5f6f72646572273a2046616c73652c2027736861"
    "7065273a2028302c2033292c207d2020202020202020202020202020202020202020202020202020202020202020202020202020202020"
    "20202020202020202020202020202020200a";

TEST_CASE("npy files written by numpy are read") {
  const std::vector<float> wanted = {1, 2.5f, -3, 4, 5, 6};
  for (const std::string_view file : {kFloats23, kFortran23}) {
    const Tensor tensor = read_npy(from_hex(file), "a.npy");
    CHECK(tensor.shape == Shape{2, 3});
    CHECK(std::vector<float>(tensor.as<float>().begin(), tensor.as<float>().end()) == wanted);
  }
  const Tensor scalar = read_npy(from_hex(kScalar), "a.npy");
  CHECK(scalar.shape.empty());
  CHECK(scalar.as<std::int8_t>()[0] == -7);
  CHECK(read_npy(from_hex(kShorts), "a.npy").as<std::uint16_t>()[1] == 65535);
  CHECK(read_npy(from_hex(kFlags), "a.npy").dtype == DType::boolean);
  const Tensor empty = read_npy(from_hex(kEmpty), "a.npy");
  CHECK(empty.dtype == DType::f16);
  CHECK(empty.shape == Shape{0, 3});
}

TEST_CASE("npy files are written as numpy writes them") {
  for (const std::string_view file : {kFloats23, kScalar, kShorts, kFlags, kEmpty}) {
    const std::string bytes = from_hex(file);
    CHECK(write_npy(read_npy(bytes, "a.npy")) == bytes);
  }
  CHECK_THROWS_AS(write_npy(Tensor(DType::bf16, {1})), Unsupported);
}

TEST_CASE("npy faults are named") {
  const auto fault = [](const std::string& bytes) { return fault_of([&] { read_npy(bytes, "a.npy"); }); };
  CHECK(fault(from_hex(kBigEndian)).find("'>i4'") != std::string::npos);
  std::string longer = from_hex(kFloats23) + "x";
  CHECK(fault(longer) == "a.npy: f32 values of shape [2, 3] need 24 bytes, the file holds 25");
  std::string negative = from_hex(kFloats23);
  negative.replace(negative.find("(2, 3)"), 6, "(-2,3)");
  CHECK(fault(negative).find("whole numbers") != std::string::npos);
  std::string huge = from_hex(kFloats23);
  huge.replace(huge.find("(2, 3), }"), 31, "(99999999999, 9999999999999), }");
  CHECK(fault(huge).find("2^40") != std::string::npos);
  read_damaged(from_hex(kFortran23), 128, [](const std::string& bytes) { read_npy(bytes, "a.npy"); });
  read_damaged(from_hex(kShorts), 128, [](const std::string& bytes) { read_npy(bytes, "a.npy"); });
}

}  // namespace
}  // namespace qb
