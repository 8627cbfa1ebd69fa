// Source: NEP 1 and numpy.lib.format's description of .npy versions 1.0 to 3.0.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "kernels/base/error.h"
#include "kernels/base/text.h"
#include "models/import.h"
#include "models/import/file_shape.h"

namespace qb {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

struct TypeName {
  std::string_view descr;
  DType type;
};
constexpr std::array<TypeName, 12> kTypes = {{{"<f4", DType::f32},
                                              {"<f8", DType::f64},
                                              {"<f2", DType::f16},
                                              {"|i1", DType::i8},
                                              {"|u1", DType::u8},
                                              {"<i2", DType::i16},
                                              {"<u2", DType::u16},
                                              {"<i4", DType::i32},
                                              {"<u4", DType::u32},
                                              {"<i8", DType::i64},
                                              {"<u8", DType::u64},
                                              {"|b1", DType::boolean}}};

/// Reads the header, a Python dictionary of exactly three entries, without reading any other Python.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, std::string_view where) : text_(text), where_(where) {}

  struct Header {
    DType type = DType::f32;
    bool fortran = false;
    Shape shape;
  };

  Header read() {
    Header header;
    bool seen[3] = {};
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && !std::exchange(seen[0], true)) {
        header.type = type(quoted());
      } else if (key == "fortran_order" && !std::exchange(seen[1], true)) {
        header.fortran = boolean();
      } else if (key == "shape" && !std::exchange(seen[2], true)) {
        header.shape = tuple();
      } else {
        fail(fmt::format("has the key '{}' twice or unknown; accepted are 'descr', 'fortran_order' and 'shape'",
                         key.substr(0, 40)));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_blanks();
    if (!text_.empty()) fail("goes on after its end");
    if (!seen[0] || !seen[1] || !seen[2]) fail("lacks one of 'descr', 'fortran_order' and 'shape'");
    return header;
  }

 private:
  [[noreturn]] void fail(std::string_view fault) const {
    throw DataError(fmt::format("{}: the npy header {}", where_, fault));
  }
  void skip_blanks() { text_.remove_prefix(std::min(text_.find_first_not_of(" \n"), text_.size())); }
  bool accept(char c) {
    skip_blanks();
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(fmt::format("lacks '{}' before '{}'", c, printable(text_.substr(0, 12))));
  }
  static std::string printable(std::string_view text) {
    std::string result(text);
    std::ranges::replace_if(
        result, [](char c) { return c < 32 || c > 126; }, '?');
    return result;
  }
  std::string_view quoted() {
    expect('\'');
    const std::size_t end = text_.find('\'');
    if (end == std::string_view::npos) fail("has a text without an end");
    const std::string_view result = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return result;
  }
  DType type(std::string_view descr) const {
    const auto known = std::ranges::find(kTypes, descr, &TypeName::descr);
    if (known == kTypes.end())
      fail(fmt::format("says type '{}'; accepted are little-endian '<f2' to '<f8', '|i1' to '<u8' and '|b1'",
                       printable(descr.substr(0, 40))));
    return known->type;
  }
  bool boolean() {
    skip_blanks();
    for (const auto& [word, value] : {std::pair<std::string_view, bool>{"True", true}, {"False", false}}) {
      if (!text_.starts_with(word)) continue;
      text_.remove_prefix(word.size());
      return value;
    }
    fail("has an order that is neither True nor False");
  }
  Shape tuple() {
    Shape shape;
    expect('(');
    while (!accept(')')) {
      skip_blanks();
      const std::size_t digits = std::min(text_.find_first_not_of("0123456789"), text_.size());
      const std::optional<std::int64_t> extent = parse_int(text_.substr(0, digits));
      if (!extent) fail("has a shape that is not a tuple of whole numbers");
      shape.push_back(*extent);
      text_.remove_prefix(digits);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return shape;
  }

  std::string_view text_, where_;
};

/// Elements whose first index runs fastest, put in row-major order.
Tensor from_fortran(std::string_view values, DType type, const Shape& shape) {
  Tensor tensor(type, shape);
  const std::size_t each = bytes_of(type), rank = shape.size();
  std::vector<std::int64_t> at(rank, 0), stride(rank, 1);
  for (std::size_t d = 1; d < rank; ++d) stride[d] = stride[d - 1] * shape[d - 1];
  std::int64_t source = 0;
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    std::memcpy(tensor.bytes.data() + std::size_t(i) * each, values.data() + std::size_t(source) * each, each);
    for (std::size_t d = rank; d-- > 0;) {
      source += stride[d];
      if (++at[d] < shape[d]) break;
      source -= stride[d] * shape[d];
      at[d] = 0;
    }
  }
  return tensor;
}

}  // namespace

Tensor read_npy(std::string_view bytes, std::string_view where) {
  if (!bytes.starts_with(kMagic) || bytes.size() < 10)
    throw DataError(fmt::format("{}: not an npy file, or cut short", where));
  const int version = static_cast<std::uint8_t>(bytes[6]);
  if (version < 1 || version > 3 || bytes[7] != 0)
    throw DataError(fmt::format("{}: npy version {}; accepted are 1 to 3", where, version));
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  if (bytes.size() < 8 + length_bytes) throw DataError(fmt::format("{}: the npy header is cut short", where));
  std::uint64_t length = 0;
  for (std::size_t i = length_bytes; i-- > 0;) length = length << 8 | static_cast<std::uint8_t>(bytes[8 + i]);
  std::string_view values = bytes.substr(8 + length_bytes);
  if (length > values.size())
    throw DataError(
        fmt::format("{}: the npy header needs {} bytes, the file ends after {}", where, length, values.size()));
  const auto header = HeaderReader(values.substr(0, length), where).read();
  values.remove_prefix(length);
  check_file_shape(header.shape, where);
  const std::uint64_t wanted = std::uint64_t(element_count(header.shape, where)) * bytes_of(header.type);
  if (values.size() != wanted)
    throw DataError(fmt::format("{}: {} values of shape {} need {} bytes, the file holds {}", where,
                                name_of(header.type), to_text(header.shape), wanted, values.size()));
  if (header.fortran && header.shape.size() > 1) return from_fortran(values, header.type, header.shape);
  Tensor tensor(header.type, header.shape);
  if (wanted > 0) std::memcpy(tensor.bytes.data(), values.data(), wanted);
  return tensor;
}

std::string write_npy(const Tensor& tensor) {
  const auto known = std::ranges::find(kTypes, tensor.dtype, &TypeName::type);
  if (known == kTypes.end()) throw Unsupported(fmt::format("numpy has no type for {} values", name_of(tensor.dtype)));
  std::string shape;
  for (const std::int64_t extent : tensor.shape) shape += fmt::format("{}{}", shape.empty() ? "" : ", ", extent);
  if (tensor.rank() == 1) shape += ",";
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", known->descr, shape);
  constexpr std::size_t kBefore = 10, kAlignment = 64;
  header.resize((kBefore + header.size() + 1 + kAlignment - 1) / kAlignment * kAlignment - kBefore - 1, ' ');
  header += '\n';
  std::string bytes(kMagic);
  bytes += {'\1', '\0', static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  bytes += header;
  bytes.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  return bytes;
}

}  // namespace qb
