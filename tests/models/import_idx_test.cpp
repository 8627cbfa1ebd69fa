#include <zlib.h>

#include <string>

#include "models/import.h"
#include "tests/models/damaged_bytes.h"

namespace qb {
namespace {

std::string gzip(const std::string& plain) {
  z_stream stream = {};
  REQUIRE(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(deflateBound(&stream, uLong(plain.size())) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = uInt(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = uInt(packed.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

// 2 x 3 unsigned bytes, and one negative 16-bit integer, by the description of the format.
const std::string kBytes = from_hex(
    "00000802"
    "00000002"
    "00000003"
    "000102fdfeff");
const std::string kShort = from_hex(
    "00000b01"
    "00000001"
    "fffe");

TEST_CASE("IDX files are read, plain and compressed") {
  for (const std::string& file : {kBytes, gzip(kBytes)}) {
    const Tensor tensor = read_idx(file, "a.idx");
    CHECK(tensor.dtype == DType::u8);
    CHECK(tensor.shape == Shape{2, 3});
    CHECK(tensor.as<std::uint8_t>()[2] == 2);
    CHECK(tensor.as<std::uint8_t>()[5] == 255);
  }
  CHECK(read_idx(kShort, "a.idx").as<std::int16_t>()[0] == -2);
}

TEST_CASE("IDX faults are named") {
  const auto fault = [](const std::string& bytes) { return fault_of([&] { read_idx(bytes, "a.idx"); }); };
  CHECK(fault(kBytes + "x") == "a.idx: u8 values of shape [2, 3] need 6 bytes, the file holds 7");
  CHECK(fault(from_hex("00000d0100000001")).find("0x0d") != std::string::npos);
  CHECK(fault(from_hex("000008ff")).find("cut short") != std::string::npos);
  CHECK(fault(gzip(gzip(kBytes))).find("compressed twice") != std::string::npos);
  CHECK(fault(gzip(kBytes) + "rest").find("damaged") != std::string::npos);
  read_damaged(kBytes, 12, [](const std::string& bytes) { read_idx(bytes, "a.idx"); });
  read_damaged(gzip(kBytes), 100, [](const std::string& bytes) { read_idx(bytes, "a.idx"); });
}

TEST_CASE("gunzip joins members and stops at its limit") {
  CHECK(gunzip(gzip("one ") + gzip("two"), "a.gz") == "one two");
  const std::string zeros(1 << 20, '\0');
  CHECK(gunzip(gzip(zeros), "a.gz", zeros.size()) == zeros);
  CHECK_THROWS_AS(gunzip(gzip(zeros), "a.gz", zeros.size() - 1), DataError);
  CHECK_THROWS_AS(gunzip("", "a.gz"), DataError);
}

}  // namespace
}  // namespace qb
