#include "kernels/base/small_floats.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/base/files.h"
#include "tests/shared_data.h"

using namespace qb;

namespace {

struct Format {
  const char* name;
  float (*decode)(std::uint16_t);
  std::uint16_t (*encode)(float);
};
constexpr Format kFormats[] = {{"float16", f32_from_f16, f16_from_f32}, {"bfloat16", f32_from_bf16, bf16_from_f32}};

}  // namespace

TEST_CASE("every 16-bit pattern survives the way through binary32") {
  for (const Format& format : kFormats)
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
      const float value = format.decode(std::uint16_t(bits));
      if (std::isnan(value))
        CHECK(std::isnan(format.decode(format.encode(value))));
      else
        CHECK_MESSAGE(format.encode(value) == bits, fmt::format("{} {:04x}", format.name, bits));
    }
}

TEST_CASE("midpoints go to the even neighbour and their neighbours do not") {
  for (const Format& format : kFormats)
    for (std::uint16_t bits = 0; std::isfinite(format.decode(std::uint16_t(bits + 1))); ++bits) {
      const double low = format.decode(bits), high = format.decode(std::uint16_t(bits + 1));
      const auto middle = static_cast<float>((low + high) / 2);
      if (double(middle) != (low + high) / 2) continue;  // bfloat16's smallest: the midpoint is no binary32
      CHECK(format.encode(middle) == (bits % 2 == 0 ? bits : bits + 1));
      CHECK(format.encode(std::nextafter(middle, 0.0f)) == bits);
      CHECK(format.encode(std::nextafter(middle, std::numeric_limits<float>::infinity())) == bits + 1);
    }
}

TEST_CASE("16-bit floats agree with the golden vectors of a public implementation") {
  for (const Format& format : kFormats) {
    const auto path = shared_path(fmt::format("golden/floats/{}.json", format.name));
    if (path.empty()) continue;
    const auto golden = nlohmann::json::parse(read_file(path));
    REQUIRE(golden["encode"]["rows"].size() > 100);
    for (const auto& row : golden["encode"]["rows"]) {
      const auto bits = std::uint32_t(std::stoul(row[0].get<std::string>(), nullptr, 16));
      const float value = std::bit_cast<float>(bits);
      if (std::isnan(value)) continue;  // which NaN is not promised
      CHECK_MESSAGE(format.encode(value) == row[1].get<int>(), fmt::format("{} {:08x}", format.name, bits));
    }
    for (const auto& row : golden["decode_samples"]) {
      const auto wanted = std::uint32_t(std::stoul(row[1].get<std::string>(), nullptr, 16));
      const float value = format.decode(row[0].get<std::uint16_t>());
      if (std::isnan(std::bit_cast<float>(wanted)))
        CHECK(std::isnan(value));
      else
        CHECK(std::bit_cast<std::uint32_t>(value) == wanted);
    }
  }
}
