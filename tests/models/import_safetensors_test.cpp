#include <string>

#include "models/import.h"
#include "tests/models/damaged_bytes.h"

namespace qb {
namespace {

// Written by the safetensors package: a f32 [2], b i32 [2, 2], h f16 [1].
constexpr std::string_view kThree =
    "a8000000000000007b2261223a7b226474797065223a22463332222c227368617065223a5b325d2c22646174615f6f666673657473223a"
    "5b302c385d7d2c2262223a7b226474797065223a22493332222c227368617065223a5b322c325d2c22646174615f6f666673657473223a"
    "5b382c32345d7d2c2268223a7b226474797065223a22463136222c227368617065223a5b315d2c22646174615f6f666673657473223a5b"
    "32342c32365d7d7d2020200000003f0000c0bf01000000020000000300000004000000003c";

std::string file_of(const std::string& header, const std::string& values) {
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = char(header.size() >> (8 * i) & 0xff);
  return bytes + header + values;
}

std::string fault(const std::string& bytes) {
  return fault_of([&] { read_safetensors(bytes, "a.safetensors"); });
}

TEST_CASE("a safetensors file of the reference package is read") {
  const TensorMap tensors = read_safetensors(from_hex(kThree), "a.safetensors");
  REQUIRE(tensors.size() == 3);
  CHECK(tensors.at("a").as<float>()[1] == -1.5f);
  CHECK(tensors.at("b").shape == Shape{2, 2});
  CHECK(tensors.at("b").as<std::int32_t>()[3] == 4);
  CHECK(to_f32(tensors.at("h")).as<float>()[0] == 1.0f);
}

TEST_CASE("what is written reads back, and equal tensors give equal bytes") {
  TensorMap tensors = read_safetensors(from_hex(kThree), "a.safetensors");
  tensors["empty"] = Tensor(DType::i64, {0, 4});
  tensors["scalar"] = Tensor(DType::f64, {});
  const std::string bytes = write_safetensors(tensors);
  CHECK(write_safetensors(read_safetensors(bytes, "b.safetensors")) == bytes);
  CHECK((8 + std::uint8_t(bytes[0]) + 256 * std::uint8_t(bytes[1])) % 8 == 0);
}

TEST_CASE("safetensors faults are named") {
  CHECK(
      fault(
          file_of(
              R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
              "123456"))
          .find("before byte 4") != std::string::npos);
  CHECK(fault(file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", "12")).find("after byte 0") !=
        std::string::npos);
  CHECK(fault(file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "12")).find("end at byte 1 of 2") !=
        std::string::npos);
  CHECK(fault(file_of(R"({"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", "1")).find("F8_E4M3") !=
        std::string::npos);
  CHECK(fault(file_of(R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", "1")).find("negative") !=
        std::string::npos);
  CHECK(fault(file_of(R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", "1"))
            .find("9 dimensions") != std::string::npos);
  CHECK(fault(file_of(R"({"a":{"dtype":"U8","shape":[1099511627776,1099511627776],"data_offsets":[0,1]}})", "1"))
            .find("2^40") != std::string::npos);
  CHECK(fault(file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", "1")).find("unknown key 'x'") !=
        std::string::npos);
  CHECK(fault(file_of("[]", "")).find("not a JSON object") != std::string::npos);
  CHECK(fault(std::string("\xff\xff\xff\xff\0\0\0\0{}", 10)).find("at most") != std::string::npos);
  CHECK(fault(file_of(R"({"__metadata__":{"format":"pt"}})", "")).empty());
  read_damaged(from_hex(kThree), 8 + 0xa8, [](const std::string& bytes) { read_safetensors(bytes, "a.safetensors"); });
}

}  // namespace
}  // namespace qb
