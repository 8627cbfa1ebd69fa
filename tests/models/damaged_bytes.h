// Bytes for the tests of readers: written as hexadecimal digits, and damaged in every way that is short to say.
#pragma once
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/base/error.h"

namespace qb {

inline std::string from_hex(std::string_view digits) {
  const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes.push_back(char(value(digits[i]) * 16 + value(digits[i + 1])));
  return bytes;
}

/// The message of the DataError that `read` throws; empty when it reads.
template <class F>
std::string fault_of(F&& read) {
  try {
    read();
  } catch (const DataError& fault) {
    return fault.what();
  }
  return {};
}

/// Reads every truncation of `bytes`, which must be refused, and every change of one bit or one byte of the first
/// `header` bytes, which may be refused or read. Any other exception, and any crash, fails the test.
template <class F>
void read_damaged(const std::string& bytes, std::size_t header, F&& read) {
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::string cut = bytes.substr(0, size);
    INFO("cut to ", size, " of ", bytes.size(), " bytes");
    CHECK(!fault_of([&] { read(cut); }).empty());
  }
  for (std::size_t at = 0; at < std::min(header, bytes.size()); ++at) {
    for (const int change : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      std::string changed = bytes;
      changed[at] = char(changed[at] ^ change);
      INFO("byte ", at, " changed by ", change);
      CHECK_NOTHROW(fault_of([&] { read(changed); }));
    }
  }
}

}  // namespace qb
