#include "quantizers/quant_spec.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/text.h"
#include "quantizers/options.h"

namespace qb {
namespace {

constexpr std::int64_t kMinGroup = 4, kMaxGroup = 65536;
constexpr int kMinActivationBits = 2, kMaxActivationBits = 8;
constexpr std::size_t kMaxSpecBytes = 1024;

std::size_t digits_at(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
  return end - at;
}

/// The number behind the first `letter` that is followed by a digit; nothing when there is none.
std::optional<std::int64_t> number_after(std::string_view text, char letter) {
  for (std::size_t i = 0; i + 1 < text.size(); ++i)
    if (text[i] == letter)
      if (const std::size_t digits = digits_at(text, i + 1); digits > 0)
        return parse_int(text.substr(i + 1, digits)).value_or(INT64_MAX);
  return std::nullopt;
}

/// The valid spec without options that is nearest to what the text seems to say; used in messages only.
std::string nearest_spec(std::string_view text) {
  text = text.substr(0, text.find('@'));
  const std::string_view name = text.substr(0, text.find(':'));
  const QuantizerInfo* method = find_quantizer(name);
  if (method == nullptr) method = find_quantizer(nearest_name(name, quantizer_names()));
  if (method == nullptr) method = find_quantizer("rtn");
  QuantSpec spec;
  spec.method = method->name;
  if (method->quantize == nullptr) return to_text(spec);
  const std::string_view bits = text.substr(std::min(text.size(), name.size()));
  spec.weight_bits =
      int(std::clamp<std::int64_t>(number_after(bits, 'w').value_or(8), method->min_bits, method->max_bits));
  if (const auto group = number_after(bits, 'g'); group && method->groups)
    spec.group = std::clamp(*group, kMinGroup, kMaxGroup);
  if (const auto activation = number_after(bits, 'a'); activation && method->activations)
    spec.activation_bits = int(std::clamp<std::int64_t>(*activation, kMinActivationBits, kMaxActivationBits));
  return to_text(spec);
}

/// Text shortened and made printable, so that a message stays one readable line whatever was typed.
std::string shown(std::string_view text) {
  constexpr std::size_t kShown = 80;
  std::string out(text.substr(0, kShown));
  for (char& c : out)
    if (c < 0x20 || c > 0x7e) c = '?';
  return text.size() > kShown ? out + "..." : out;
}

[[noreturn]] void refuse_spec(std::string_view text, const std::string& fault) {
  const std::string nearest = nearest_spec(text);
  const std::string hint = nearest == text ? "" : fmt::format("; the nearest valid one is '{}'", nearest);
  throw InputError(fmt::format("quantizer '{}': {}{}", shown(text), fault, hint));
}

/// Reads `w4g32a8` into the spec.
void parse_bits(std::string_view text, std::string_view bits, const QuantizerInfo& method, QuantSpec& spec) {
  const auto number = [&](char letter) {
    const std::size_t digits = digits_at(bits, 1);
    if (digits == 0 || bits[1] == '0')
      refuse_spec(text, fmt::format("'{}' must be followed by a number that does not begin with 0", letter));
    const std::int64_t value = parse_int(bits.substr(1, digits)).value_or(INT64_MAX);
    bits.remove_prefix(1 + digits);
    return value;
  };
  if (!bits.starts_with('w'))
    refuse_spec(text, "the bits of the weights are missing, write METHOD:w<bits>[g<size>][a<bits>]");
  const std::int64_t weight_bits = number('w');
  if (weight_bits < method.min_bits || weight_bits > method.max_bits)
    refuse_spec(text, fmt::format("weights can have {} to {} bits", method.min_bits, method.max_bits));
  spec.weight_bits = int(weight_bits);
  if (bits.starts_with('g')) {
    if (!method.groups) refuse_spec(text, fmt::format("'{}' does not work in groups", method.name));
    spec.group = number('g');
    if (spec.group < kMinGroup || spec.group > kMaxGroup)
      refuse_spec(text, fmt::format("groups can have {} to {} weights", kMinGroup, kMaxGroup));
  }
  if (bits.starts_with('a')) {
    if (!method.activations) refuse_spec(text, fmt::format("'{}' leaves activations float", method.name));
    const std::int64_t activation_bits = number('a');
    if (activation_bits < kMinActivationBits || activation_bits > kMaxActivationBits)
      refuse_spec(text, fmt::format("activations can have {} to {} bits; leave a<bits> out for float activations",
                                    kMinActivationBits, kMaxActivationBits));
    spec.activation_bits = int(activation_bits);
  }
  if (!bits.empty())
    refuse_spec(text, fmt::format("'{}' is not understood, write METHOD:w<bits>[g<size>][a<bits>]", shown(bits)));
}

/// Reads `key=value,key=value` into the spec, defaults included; they are dropped by the caller.
void parse_options(std::string_view text, std::string_view list, const QuantizerInfo& method, QuantSpec& spec) {
  const std::vector<QuantizerOption> known = all_options(method);
  std::vector<std::string> keys;
  for (const QuantizerOption& option : known) keys.emplace_back(option.key);
  if (known.empty()) refuse_spec(text, fmt::format("'{}' has no options", method.name));
  for (const std::string_view part : split(list, ',')) {
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos)
      refuse_spec(text, fmt::format("'{}' is no option, write @key=value,key=value", shown(part)));
    const std::string_view key = part.substr(0, equals);
    const auto option =
        std::find_if(known.begin(), known.end(), [&](const QuantizerOption& o) { return o.key == key; });
    if (option == known.end())
      throw InputError(fmt::format("quantizer '{}': '{}' has no option '{}'{}", shown(text), method.name, shown(key),
                                   suggestion(key, keys)));
    if (spec.options.contains(key))
      throw InputError(fmt::format("quantizer '{}': option '{}' stands twice", shown(text), key));
    try {
      spec.options.emplace(key, canonical_value(*option, part.substr(equals + 1)));
    } catch (const InputError& error) {
      throw InputError(fmt::format("quantizer '{}': {}", shown(text), error.what()));
    }
  }
}

/// Whether what an option needs ("a<bits>", or "key=value" of another option) is there.
bool need_is_met(const QuantSpec& spec, std::string_view need) {
  if (need.empty()) return true;
  if (need == "a<bits>") return spec.activation_bits != 32;
  const std::size_t equals = need.find('=');
  return option_of(spec, need.substr(0, equals)) == need.substr(equals + 1);
}

/// Removes what equals its default, then refuses what would be ignored.
void settle_options(std::string_view text, const QuantizerInfo& method, QuantSpec& spec) {
  const std::vector<QuantizerOption> known = all_options(method);
  for (const QuantizerOption& option : known) {
    const auto given = spec.options.find(option.key);
    if (given != spec.options.end() && given->second == option.otherwise) spec.options.erase(given);
  }
  for (const QuantizerOption& option : known)
    if (spec.options.contains(option.key) && !need_is_met(spec, option.needs))
      throw InputError(
          fmt::format("quantizer '{}': option '{}' means nothing without {}", shown(text), option.key, option.needs));
  if (spec.group > 0 && spec.options.contains("per"))
    throw InputError(fmt::format("quantizer '{}': per={} and g{} contradict each other, give one of them", shown(text),
                                 spec.options.find("per")->second, spec.group));
}

}  // namespace

QuantSpec parse_quant_spec(std::string_view text) {
  if (text.size() > kMaxSpecBytes)
    throw InputError(fmt::format("quantizer '{}' is {} bytes long, at most {} are accepted", shown(text), text.size(),
                                 kMaxSpecBytes));
  const std::size_t at = text.find('@');
  const std::string_view head = text.substr(0, at);
  const std::size_t colon = head.find(':');
  const std::string_view name = head.substr(0, colon);
  const QuantizerInfo* method = find_quantizer(name);
  if (method == nullptr)
    throw InputError(fmt::format("quantizer '{}': no method is called '{}'{}", shown(text), shown(name),
                                 suggestion(name, quantizer_names())));
  QuantSpec spec;
  spec.method = method->name;
  if (method->quantize == nullptr) {
    if (colon != std::string_view::npos) refuse_spec(text, fmt::format("'{}' has no bits to choose", name));
  } else {
    parse_bits(text, colon == std::string_view::npos ? std::string_view() : head.substr(colon + 1), *method, spec);
  }
  if (at != std::string_view::npos) parse_options(text, text.substr(at + 1), *method, spec);
  settle_options(text, *method, spec);
  return spec;
}

std::string to_text(const QuantSpec& spec) {
  std::string text = spec.method;
  if (spec.weight_bits != 32) text += fmt::format(":w{}", spec.weight_bits);
  if (spec.group > 0) text += fmt::format("g{}", spec.group);
  if (spec.activation_bits != 32) text += fmt::format("a{}", spec.activation_bits);
  char separator = '@';
  for (const auto& [key, value] : spec.options) {
    text += fmt::format("{}{}={}", separator, key, value);
    separator = ',';
  }
  return text;
}

}  // namespace qb
