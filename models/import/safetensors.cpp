// Source: the format's description in huggingface/safetensors (README, "Format"): 8 bytes little-endian length of a
// JSON header, the header, then the values of all tensors without gaps.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include "kernels/base/error.h"
#include "kernels/base/json.h"
#include "models/import.h"
#include "models/import/file_shape.h"

namespace qb {

namespace {

struct TypeName {
  std::string_view name;
  DType type;
};
constexpr std::array<TypeName, 13> kTypes = {{{"F32", DType::f32},
                                              {"F64", DType::f64},
                                              {"F16", DType::f16},
                                              {"BF16", DType::bf16},
                                              {"I8", DType::i8},
                                              {"U8", DType::u8},
                                              {"I16", DType::i16},
                                              {"U16", DType::u16},
                                              {"I32", DType::i32},
                                              {"U32", DType::u32},
                                              {"I64", DType::i64},
                                              {"U64", DType::u64},
                                              {"BOOL", DType::boolean}}};
constexpr std::uint64_t kLongestHeader = std::uint64_t(16) << 20;
constexpr std::string_view kMetadata = "__metadata__";

/// Where a tensor lies, counted from the end of the header.
struct Place {
  std::uint64_t begin = 0, end = 0;
  std::string name;
};

/// The 8 bytes that give the header's length, and the header.
std::string_view header_of(std::string_view bytes, std::string_view where) {
  if (bytes.size() < 8)
    throw DataError(fmt::format("{}: {} bytes are too few for a safetensors file", where, bytes.size()));
  std::uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | static_cast<std::uint8_t>(bytes[std::size_t(i)]);
  if (length > kLongestHeader)
    throw DataError(fmt::format("{}: a header of {} bytes; at most {} are read (is this a safetensors file?)", where,
                                length, kLongestHeader));
  if (length > bytes.size() - 8)
    throw DataError(
        fmt::format("{}: the header needs {} bytes, the file ends after {}", where, length, bytes.size() - 8));
  return bytes.substr(8, length);
}

Tensor read_entry(const Json& entry, const std::string& where, std::string_view values, Place& place) {
  Fields fields(entry, where, Blame::peer);
  const std::string type = fields.text("dtype");
  const Shape shape = fields.integers("shape");
  const std::vector<std::int64_t> offsets = fields.integers("data_offsets");
  fields.done();
  const auto known = std::ranges::find(kTypes, std::string_view(type), &TypeName::name);
  if (known == kTypes.end())
    fields.fail("dtype", fmt::format("is '{}'; accepted are F64, F32, F16, BF16, I8 to I64, U8 to U64 and BOOL",
                                     type.substr(0, 40)));
  check_file_shape(shape, where);
  if (offsets.size() != 2 || offsets[0] < 0 || offsets[1] < offsets[0] || std::uint64_t(offsets[1]) > values.size())
    fields.fail("data_offsets",
                fmt::format("is {}; accepted are two rising offsets up to {}", to_text(offsets), values.size()));
  place.begin = std::uint64_t(offsets[0]);
  place.end = std::uint64_t(offsets[1]);
  const std::uint64_t wanted = std::uint64_t(element_count(shape, where)) * bytes_of(known->type);
  if (place.end - place.begin != wanted)
    throw DataError(fmt::format("{}: {} values of shape {} need {} bytes, the offsets give {}", where, type,
                                to_text(shape), wanted, place.end - place.begin));
  Tensor tensor(known->type, shape);
  if (wanted > 0) std::memcpy(tensor.bytes.data(), values.data() + place.begin, wanted);
  return tensor;
}

/// Every byte of the values belongs to exactly one tensor.
void check_places(std::vector<Place>& places, std::uint64_t size, std::string_view where) {
  std::ranges::sort(places, {}, [](const Place& place) { return std::pair(place.begin, place.end); });
  std::uint64_t reached = 0;
  for (const Place& place : places) {
    if (place.begin != reached)
      throw DataError(fmt::format("{}: tensor '{}' begins at byte {}, {} byte {} where the one before ends", where,
                                  place.name, place.begin, place.begin < reached ? "before" : "after", reached));
    reached = place.end;
  }
  if (reached != size) throw DataError(fmt::format("{}: the tensors end at byte {} of {}", where, reached, size));
}

}  // namespace

TensorMap read_safetensors(std::string_view bytes, std::string_view where) {
  const std::string_view header = header_of(bytes, where);
  const std::string_view values = bytes.substr(8 + header.size());
  const JsonLimits limits{.depth = 3, .string_bytes = kLongestHeader, .comments = false};
  const Json root = parse_json(header, where, Blame::peer, limits);
  if (!root.is_object()) throw DataError(fmt::format("{}: the header is not a JSON object", where));
  TensorMap tensors;
  std::vector<Place> places;
  for (const auto& [name, entry] : root.items()) {
    if (name == kMetadata) continue;
    Place& place = places.emplace_back();
    place.name = name;
    tensors.emplace(name, read_entry(entry, fmt::format("{}: tensor '{}'", where, name.substr(0, 200)), values, place));
  }
  check_places(places, values.size(), where);
  return tensors;
}

std::string write_safetensors(const TensorMap& tensors) {
  Json header = Json::object();
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const auto known = std::ranges::find(kTypes, tensor.dtype, &TypeName::type);
    header[name] = {
        {"dtype", known->name}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text = canonical_text(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the values then begin at a multiple of 8 bytes
  std::string bytes;
  bytes.reserve(8 + text.size() + offset);
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(std::uint64_t(text.size()) >> (8 * i) & 0xff));
  bytes += text;
  for (const auto& [name, tensor] : tensors)
    bytes.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  return bytes;
}

}  // namespace qb
