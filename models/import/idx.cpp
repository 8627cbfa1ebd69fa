// Source: the description of the IDX format on the MNIST page (LeCun, Cortes, Burges): big-endian; two zero bytes, a
// type byte, the number of dimensions, one 32-bit extent each, then the values.
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/base/error.h"
#include "models/import.h"
#include "models/import/file_shape.h"

namespace qb {

namespace {

struct TypeCode {
  int code;
  DType type;
};
constexpr std::array<TypeCode, 4> kTypes = {
    {{0x08, DType::u8}, {0x09, DType::i8}, {0x0b, DType::i16}, {0x0c, DType::i32}}};

constexpr std::uint64_t kLargestIdx = std::uint64_t(1) << 30;

/// One zlib stream; ends with its owner.
class Inflater {
 public:
  explicit Inflater(std::string_view where) {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw DataError(fmt::format("{}: zlib could not start", where));
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream_); }
  z_stream& stream() { return stream_; }

 private:
  z_stream stream_ = {};
};

bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

}  // namespace

std::string gunzip(std::string_view bytes, std::string_view where, std::uint64_t limit) {
  if (!is_gzip(bytes)) throw DataError(fmt::format("{}: not gzip data", where));
  std::string result;
  std::vector<char> chunk(std::size_t(1) << 18);
  while (!bytes.empty()) {  // a gzip file is one member or many
    Inflater inflater(where);
    z_stream& stream = inflater.stream();
    for (int state = Z_OK; state != Z_STREAM_END;) {
      const std::size_t piece = std::min(bytes.size(), std::size_t(1) << 30);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
      stream.avail_in = uInt(piece);
      stream.next_out = reinterpret_cast<Bytef*>(chunk.data());
      stream.avail_out = uInt(chunk.size());
      state = inflate(&stream, Z_NO_FLUSH);
      const std::size_t made = chunk.size() - stream.avail_out, read = piece - stream.avail_in;
      if ((state != Z_OK && state != Z_STREAM_END) || (state == Z_OK && made == 0 && read == 0))
        throw DataError(fmt::format("{}: the gzip data is {}", where,
                                    state == Z_BUF_ERROR || state == Z_OK ? "cut short" : "damaged"));
      if (result.size() + made > limit)
        throw DataError(fmt::format("{}: holds more than the {} bytes accepted", where, limit));
      result.append(chunk.data(), made);
      bytes.remove_prefix(read);
    }
  }
  return result;
}

Tensor read_idx(std::string_view bytes, std::string_view where) {
  if (is_gzip(bytes)) {
    const std::string plain = gunzip(bytes, where, kLargestIdx);
    if (is_gzip(plain)) throw DataError(fmt::format("{}: is compressed twice", where));
    return read_idx(plain, where);
  }
  if (bytes.size() < 4 || bytes[0] != 0 || bytes[1] != 0)
    throw DataError(fmt::format("{}: not an IDX file, or cut short", where));
  const int code = static_cast<std::uint8_t>(bytes[2]);
  const auto known = std::ranges::find(kTypes, code, &TypeCode::code);
  if (known == kTypes.end())
    throw DataError(fmt::format(
        "{}: IDX type {:#04x}; accepted are 0x08, 0x09, 0x0b and 0x0c, integers of 8 to 32 bits", where, code));
  const auto rank = static_cast<std::size_t>(static_cast<std::uint8_t>(bytes[3]));
  if (bytes.size() < 4 + 4 * rank) throw DataError(fmt::format("{}: the IDX header is cut short", where));
  const auto byte = [&](std::size_t i) { return std::int64_t(static_cast<std::uint8_t>(bytes[i])); };
  Shape shape;
  for (std::size_t d = 0; d < rank; ++d) {
    const std::size_t at = 4 + 4 * d;
    shape.push_back(byte(at) << 24 | byte(at + 1) << 16 | byte(at + 2) << 8 | byte(at + 3));
  }
  check_file_shape(shape, where);
  const std::string_view values = bytes.substr(4 + 4 * rank);
  const std::size_t each = bytes_of(known->type);
  const std::uint64_t wanted = std::uint64_t(element_count(shape, where)) * each;
  if (values.size() != wanted)
    throw DataError(fmt::format("{}: {} values of shape {} need {} bytes, the file holds {}", where,
                                name_of(known->type), to_text(shape), wanted, values.size()));
  Tensor tensor(known->type, std::move(shape));
  const auto target = reinterpret_cast<char*>(tensor.bytes.data());
  for (std::size_t i = 0; i < wanted; ++i) target[i / each * each + (each - 1 - i % each)] = values[i];
  return tensor;
}

}  // namespace qb
