// Conversion between element types.
// Source: ONNX Cast, opsets 6 to 25, whose tables say what becomes of values that a small float does not have.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/base/small_floats.h"
#include "models/element_types.h"
#include "models/ops.h"

namespace qb {

namespace {

/// How a float of at most 16 bits is encoded; `up` and `down` are for E8M0 only.
struct FloatTarget {
  enum class Rounding : std::uint8_t { nearest, up, down };
  const FloatFormat* format = nullptr;
  Overflow overflow = Overflow::special;
  Rounding rounding = Rounding::nearest;

  std::uint16_t code(double value) const {
    if (format->specials != SpecialCodes::power || !(value > 0) || std::isinf(value))
      return encode(*format, value, overflow);
    const bool outside = value > double(max_finite(*format)) || value < double(decode(*format, 0));
    if (outside && overflow == Overflow::special) return encode(*format, NAN);
    switch (rounding) {
      case Rounding::up: return e8m0_at_or_above(value);
      case Rounding::down: return e8m0_at_or_below(value);
      case Rounding::nearest: break;
    }
    return encode(*format, value, overflow);
  }
};

FloatTarget float_target(const OpSite& site, DType to) {
  FloatTarget target{float_format_of(to)};
  if (bytes_of(to) > 1) return target;
  if (site.node->integer_or("saturate", 1) != 0) target.overflow = Overflow::sat_all;
  const std::string mode = site.node->text_or("round_mode", "up");
  if (mode != "up" && mode != "down" && mode != "nearest")
    site.fail(fmt::format("round_mode '{}' is not known; 'up', 'down' and 'nearest' are", mode));
  if (to == DType::e8m0fnu && mode != "nearest")
    target.rounding = mode == "up" ? FloatTarget::Rounding::up : FloatTarget::Rounding::down;
  return target;
}

/// Floats are truncated towards zero and saturate, NaN becomes 0; integers keep their low bits.
template <class To, class From>
To converted(From value) {
  if constexpr (std::is_floating_point_v<From>) {
    if (std::isnan(value)) return 0;
    if (value >= From(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    if (value <= From(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
  }
  return static_cast<To>(value);
}

/// As above, but integers below 8 bits keep their low bits of floats too, as the cases of ONNX do.
template <class From>
std::int8_t low_bits(From value, int bits, bool with_sign) {
  const auto whole = static_cast<unsigned>(converted<std::int64_t>(value)), sign = 1u << (bits - 1);
  const unsigned code = whole & ((1u << bits) - 1);
  return static_cast<std::int8_t>(with_sign ? int(code ^ sign) - int(sign) : int(code));
}

template <class To, class From, class Convert>
void write(std::span<const From> from, Tensor& to, std::int64_t begin, Convert convert) {
  To* target = to.bytes.as<To>() + begin;
  for (std::size_t i = 0; i < from.size(); ++i) target[i] = convert(from[i]);
}

template <class From>
void write_elements(std::span<const From> from, Tensor& to, std::int64_t begin, const FloatTarget& target) {
  const auto small = [&](int bits, bool with_sign) {
    write<std::int8_t>(from, to, begin, [=](From x) { return low_bits(x, bits, with_sign); });
  };
  switch (to.dtype) {
    case DType::f32: return write<float>(from, to, begin, [](From x) { return static_cast<float>(x); });
    case DType::f64: return write<double>(from, to, begin, [](From x) { return static_cast<double>(x); });
    case DType::i8: return write<std::int8_t>(from, to, begin, converted<std::int8_t, From>);
    case DType::u8: return write<std::uint8_t>(from, to, begin, converted<std::uint8_t, From>);
    case DType::i16: return write<std::int16_t>(from, to, begin, converted<std::int16_t, From>);
    case DType::u16: return write<std::uint16_t>(from, to, begin, converted<std::uint16_t, From>);
    case DType::i32: return write<std::int32_t>(from, to, begin, converted<std::int32_t, From>);
    case DType::u32: return write<std::uint32_t>(from, to, begin, converted<std::uint32_t, From>);
    case DType::i64: return write<std::int64_t>(from, to, begin, converted<std::int64_t, From>);
    case DType::u64: return write<std::uint64_t>(from, to, begin, converted<std::uint64_t, From>);
    case DType::boolean: return write<std::uint8_t>(from, to, begin, [](From x) { return std::uint8_t(x != From(0)); });
    case DType::i2: return small(2, true);
    case DType::u2: return small(2, false);
    case DType::i4: return small(4, true);
    case DType::u4: return small(4, false);
    default: break;
  }
  const auto code = [&](From x) { return target.code(static_cast<double>(x)); };
  if (bytes_of(to.dtype) == 2) return write<std::uint16_t>(from, to, begin, code);
  write<std::uint8_t>(from, to, begin, [&](From x) { return std::uint8_t(code(x)); });
}

/// In pieces, by way of a type that holds both: int64 between integers, else binary64.
template <class Wide>
PlannedOp cast_through(const OpSite& site, DType to, const FloatTarget& target) {
  PlannedOp planned;
  planned.outputs = {{to, site.shape(0)}};
  const std::int64_t count = element_count(site.shape(0));
  planned.run = [count, target](const OpRun& run) {
    std::array<Wide, 256> piece;
    for (std::int64_t begin = 0; begin < count; begin += std::ssize(piece)) {
      const auto part = std::span(piece).first(std::size_t(std::min(std::ssize(piece), count - begin)));
      read_elements(*run.inputs[0], begin, part);
      write_elements<Wide>(part, *run.outputs[0], begin, target);
    }
  };
  return planned;
}

PlannedOp plan_cast(const OpSite& site) {
  const std::int64_t number = site.node->integer_or("to", 0);
  const std::optional<DType> to = dtype_of_onnx(number);
  if (!to) site.fail(fmt::format("a cast to {} is not supported; to numbers it is", onnx_type_name(number)));
  const auto is_float = [](DType type) {
    return type == DType::f32 || type == DType::f64 || float_format_of(type) != nullptr;
  };
  const FloatTarget target = float_target(site, *to);
  if (is_float(site.dtype(0)) || is_float(*to)) return cast_through<double>(site, *to, target);
  return cast_through<std::int64_t>(site, *to, target);
}

constexpr OperatorInfo kTable[] = {{"Cast", 1, 1, 1, plan_cast}};

}  // namespace

std::span<const OperatorInfo> cast_operators() { return kTable; }

}  // namespace qb
