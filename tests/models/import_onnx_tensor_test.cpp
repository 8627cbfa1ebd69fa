#include <vector>

#include "models/import.h"
#include "tests/models/damaged_bytes.h"

namespace qb {
namespace {

/// A TensorProto written by the onnx package (onnx.helper.make_tensor), and what it holds.
struct Sample {
  std::string_view hex;
  DType dtype;
  std::vector<double> values;  ///< rounded to float32 where the test compares
};

const std::vector<Sample> kSamples = {
    {"0802100122080000c03f000000c0420178", DType::f32, {1.5, -2}},
    {"0802100a2a05807c808003420178", DType::f16, {1.5, -2}},
    {"080210102a05c07f808003420178", DType::bf16, {1.5, -2}},
    {"080310162a02780f420178", DType::i4, {-8, 7, -1}},
    {"080310152a020f09420178", DType::u4, {15, 0, 9}},
    {"080210032a0b80ffffffffffffffff0105420178", DType::i8, {-128, 5}},
    {"080110042a03ffff03420178", DType::u16, {65535}},
    {"080210073a10fbffffffffffffffff01808080808020420178", DType::i64, {-5, 1099511627776}},
    {"0801100d4201785a0a81808080808080808001", DType::u64, {9223372036854775808.0}},
    {"0801100c4201785a05ffffffff0f", DType::u32, {4294967295}},
    {"0801100b42017852089a9999999999b93f", DType::f64, {0.1}},
    {"080210092a020100420178", DType::boolean, {1, 0}},
    {"080210112a0338b001420178", DType::e4m3fn, {1, -0.5}},
    {"0802080110064201784a08ffffffff07000000", DType::i32, {-1, 7}},
};

TEST_CASE("tensors of every numeric type are read from typed and raw fields") {
  for (const Sample& sample : kSamples) {
    INFO(sample.hex);
    const Tensor tensor = read_onnx_tensor(from_hex(sample.hex), "x.pb");
    CHECK(tensor.dtype == sample.dtype);
    const Tensor wide = to_f32(tensor);
    REQUIRE(std::size_t(wide.size()) == sample.values.size());
    for (std::size_t i = 0; i < sample.values.size(); ++i) CHECK(wide.as<float>()[i] == float(sample.values[i]));
  }
  CHECK(read_onnx_tensor(from_hex(kSamples.back().hex), "x.pb").shape == Shape{2, 1});
}

TEST_CASE("damaged tensors are refused in words") {
  for (const Sample& sample : kSamples) {
    // Cut between two fields, the rest is a valid tensor only if nothing but the name is gone.
    const std::string bytes = from_hex(sample.hex);
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      fault_of([&] { read_onnx_tensor(bytes.substr(0, at), "x.pb"); });
      for (const int change : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
        std::string changed = bytes;
        changed[at] = char(changed[at] ^ change);
        CHECK_NOTHROW(fault_of([&] { read_onnx_tensor(changed, "x.pb"); }));
      }
    }
    CHECK(fault_of([&] { read_onnx_tensor(bytes.substr(0, bytes.size() - 4), "x.pb"); }) != "");
  }
  const auto fault = [](std::string_view hex) { return fault_of([&] { read_onnx_tensor(from_hex(hex), "x.pb"); }); };
  CHECK(fault("0801100e2208000000000000803f420178").find("complex64") != std::string::npos);
  CHECK(fault("08011008320161420178").find("string") != std::string::npos);
  CHECK(fault("7001").find("another file") != std::string::npos);
  CHECK(fault("08ffffffff0f080110014a0412345678").find("need") != std::string::npos);
}

}  // namespace
}  // namespace qb
