#include "quantizers/quant_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "kernels/activation_rows.h"
#include "kernels/base/text.h"
#include "quantizers/options.h"
#include "quantizers/preparation.h"

namespace qb {
namespace {

constexpr std::int64_t kMinGroup = 4, kMaxGroup = 65536;
constexpr int kMinActivationBits = 2, kMaxActivationBits = 8;
constexpr std::int64_t kGroupStep = 16;  // of weights that are multiplied with activations in groups
constexpr std::size_t kMaxSpecBytes = 1024;
constexpr double kMaxBudget = 200;  // bits per weight or dB

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

/// The longest type of the method with which `text` begins; empty when none does.
std::string_view type_at(const QuantizerInfo& method, std::string_view text) {
  std::string_view longest;
  for (const std::string_view type : split(method.types, '|'))
    if (text.starts_with(type) && type.size() > longest.size()) longest = type;
  return longest;
}

/// Whether groups of weights lie within groups of activations; formats with names say so when layers are known.
bool groups_fit(const QuantSpec& spec, const QuantizerInfo& method) {
  if (spec.activation_group == 0 || !method.types.empty() || method.plan != nullptr) return true;
  return spec.group > 0 && spec.group % kGroupStep == 0 && spec.activation_group % spec.group == 0;
}

/// Sets the nearest group of activations, and groups of weights to go with it, where the method has such.
void set_nearest_activation_group(std::int64_t wanted, const QuantizerInfo& method, QuantSpec& spec) {
  const auto distance = [&](std::int64_t group) { return std::abs(group - std::min(wanted, kMaxGroup)); };
  spec.activation_group = *std::ranges::min_element(kActivationGroups, {}, distance);
  if (groups_fit(spec, method)) return;
  if (method.groups)
    spec.group = spec.activation_group;
  else
    spec.activation_group = 0;
}

/// The valid spec without options that is nearest to what the text seems to say; used in messages only.
std::string nearest_spec(std::string_view text) {
  text = text.substr(0, text.find('@'));
  QuantSpec spec;
  for (std::size_t plus = text.find('+'); plus < text.find(':'); plus = text.find('+')) {
    if (const Preparation* step = find_preparation(text.substr(0, plus))) spec.before.emplace_back(step->name);
    text.remove_prefix(plus + 1);
  }
  const std::string_view name = text.substr(0, text.find(':'));
  const QuantizerInfo* method = find_quantizer(name);
  if (method == nullptr) method = find_quantizer(nearest_name(name, quantizer_names()));
  if (method == nullptr) method = find_quantizer("rtn");
  spec.method = method->name;
  if (!method->quantizes()) return spec.method;
  std::string_view bits = text.substr(std::min(text.size(), name.size() + 1));
  if (method->plan != nullptr) {
    spec.type = bits.find("dB") == std::string_view::npos ? "4bpw" : "30dB";
    bits = bits.substr(std::min(bits.find_first_of("wB"), bits.size()));
  } else if (method->types.empty()) {
    spec.weight_bits =
        int(std::clamp<std::int64_t>(number_after(bits, 'w').value_or(8), method->min_bits, method->max_bits));
  } else {
    spec.type = type_at(*method, bits);
    if (spec.type.empty()) {
      const std::vector<std::string_view> types = split(method->types, '|');
      const std::string near = nearest_name(bits.substr(0, bits.find('-')), {types.begin(), types.end()});
      spec.type = near.empty() ? types.front() : std::string_view(near);
    }
    bits = bits.substr(std::min(bits.size(), spec.type.size()));
  }
  const std::string_view weights = bits.substr(0, bits.find('a'));
  if (const auto group = number_after(weights, 'g'); group && method->groups)
    spec.group = std::clamp(*group, kMinGroup, kMaxGroup);
  bits.remove_prefix(weights.size());
  if (const auto activation = number_after(bits, 'a'); activation && method->activations) {
    spec.activation_bits = int(std::clamp<std::int64_t>(*activation, kMinActivationBits, kMaxActivationBits));
    if (const auto group = number_after(bits, 'g')) set_nearest_activation_group(*group, *method, spec);
  }
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

/// Reads `w4g32a8g32`, or `e4m3g32-a8`, into the spec.
class BitsReader {
 public:
  BitsReader(std::string_view text, std::string_view bits, const QuantizerInfo& method, QuantSpec& spec)
      : text_(text), rest_(bits), method_(method), spec_(spec) {}

  void read() {
    if (method_.plan != nullptr)
      read_budget();
    else
      method_.types.empty() ? read_bits() : read_type();
    if (rest_.starts_with('g')) read_group();
    const std::string_view before_activations = spec_.type.empty() ? "a" : "-a";
    if (rest_.starts_with(before_activations)) {
      rest_.remove_prefix(before_activations.size() - 1);
      read_activations();
    }
    if (!rest_.empty())
      refuse_spec(text_, fmt::format("'{}' is not understood, write {}", shown(rest_), spec_form(method_)));
  }

 private:
  std::int64_t number(char letter) {
    const std::size_t digits = digits_at(rest_, 1);
    if (digits == 0 || rest_[1] == '0')
      refuse_spec(text_, fmt::format("'{}' must be followed by a number that does not begin with 0", letter));
    const std::int64_t value = parse_int(rest_.substr(1, digits)).value_or(INT64_MAX);
    rest_.remove_prefix(1 + digits);
    return value;
  }

  void read_bits() {
    if (!rest_.starts_with('w'))
      refuse_spec(text_, fmt::format("the bits of the weights are missing, write {}", spec_form(method_)));
    const std::int64_t bits = number('w');
    if (bits < method_.min_bits || bits > method_.max_bits)
      refuse_spec(text_, method_.min_bits == method_.max_bits
                             ? fmt::format("weights can have {} bits only", method_.min_bits)
                             : fmt::format("weights can have {} to {} bits", method_.min_bits, method_.max_bits));
    spec_.weight_bits = int(bits);
  }

  void read_budget() {
    const std::size_t end = std::min(rest_.find_first_not_of("0123456789."), rest_.size());
    const std::optional<double> amount = parse_double(rest_.substr(0, end));
    rest_.remove_prefix(end);
    const std::string_view unit = rest_.starts_with("bpw") ? "bpw" : rest_.starts_with("dB") ? "dB" : "";
    if (!amount || unit.empty()) refuse_spec(text_, fmt::format("the budget is missing, write {}", spec_form(method_)));
    if (!(*amount > 0 && *amount <= kMaxBudget))
      refuse_spec(text_, fmt::format("a budget is above 0 and at most {}{}", kMaxBudget, unit));
    spec_.type = fmt::format("{}{}", *amount, unit);
    rest_.remove_prefix(unit.size());
  }

  void read_type() {
    const std::string_view type = type_at(method_, rest_);
    if (type.empty()) refuse_spec(text_, fmt::format("the weights' format is missing, write {}", spec_form(method_)));
    spec_.type = type;
    rest_.remove_prefix(type.size());
  }

  void read_group() {
    if (!method_.groups) refuse_spec(text_, fmt::format("'{}' does not work in groups of any size", method_.name));
    spec_.group = number('g');
    if (spec_.group < kMinGroup || spec_.group > kMaxGroup)
      refuse_spec(text_, fmt::format("groups can have {} to {} weights", kMinGroup, kMaxGroup));
  }

  void read_activations() {
    if (!method_.activations) refuse_spec(text_, fmt::format("'{}' leaves activations float", method_.name));
    const std::int64_t bits = number('a');
    if (bits < kMinActivationBits || bits > kMaxActivationBits)
      refuse_spec(text_, fmt::format("activations can have {} to {} bits; leave a<bits> out for float activations",
                                     kMinActivationBits, kMaxActivationBits));
    spec_.activation_bits = int(bits);
    if (rest_.starts_with('g')) read_activation_group();
  }

  void read_activation_group() {
    spec_.activation_group = number('g');
    if (std::ranges::find(kActivationGroups, spec_.activation_group) == kActivationGroups.end())
      refuse_spec(text_,
                  fmt::format("{} columns of activations can share a scale", fmt::join(kActivationGroups, ", ")));
    if (!groups_fit(spec_, method_))
      refuse_spec(text_, fmt::format("activations in groups of {0} need weights in groups that divide {0}, multiples "
                                     "of {1}",
                                     spec_.activation_group, kGroupStep));
  }

  std::string_view text_, rest_;
  const QuantizerInfo& method_;
  QuantSpec& spec_;
};

/// Reads `key=value,key=value` into the spec, defaults included; they are dropped by the caller.
void parse_options(std::string_view text, std::string_view list, const QuantizerInfo& method, QuantSpec& spec) {
  const std::vector<QuantizerOption> known = all_options(spec);
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
void settle_options(std::string_view text, QuantSpec& spec) {
  const std::vector<QuantizerOption> known = all_options(spec);
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
  if (spec.activation_group > 0 && spec.options.contains("mode"))
    throw InputError(
        fmt::format("quantizer '{}': mode=static fixes one scale for all activations of a layer, and "
                    "a{}g{} asks for one per {} columns; give one of them",
                    shown(text), spec.activation_bits, spec.activation_group, spec.activation_group));
}

/// Reads the names before the method's, "smoothquant+", into the spec.
void parse_steps(std::string_view text, std::span<const std::string_view> names, const QuantizerInfo& method,
                 QuantSpec& spec) {
  std::vector<std::string> known;
  for (const Preparation& step : preparations()) known.emplace_back(step.name);
  for (const std::string_view name : names) {
    const Preparation* step = find_preparation(name);
    if (step == nullptr)
      throw InputError(fmt::format("quantizer '{}': no step before quantizing is called '{}'{}", shown(text),
                                   shown(name), suggestion(name, known)));
    if (!method.quantizes())
      refuse_spec(text, fmt::format("'{}' leaves the model as it is, there is nothing to prepare", method.name));
    if (std::ranges::find(spec.before, name) != spec.before.end() || method.preparation == name)
      throw InputError(fmt::format("quantizer '{}': the step '{}' is there twice", shown(text), name));
    if (!step->option_of_method.empty() && !knows_option(spec, step->option_of_method))
      throw InputError(fmt::format("quantizer '{}': '{}' goes before methods with an option '{}' only, such as gptq",
                                   shown(text), name, step->option_of_method));
    spec.before.emplace_back(name);
  }
}

}  // namespace

QuantSpec parse_quant_spec(std::string_view text) {
  if (text.size() > kMaxSpecBytes)
    throw InputError(fmt::format("quantizer '{}' is {} bytes long, at most {} are accepted", shown(text), text.size(),
                                 kMaxSpecBytes));
  const std::size_t at = text.find('@');
  const std::string_view head = text.substr(0, at);
  const std::size_t colon = head.find(':');
  const std::vector<std::string_view> names = split(head.substr(0, colon), '+');
  const std::string_view name = names.back();
  const QuantizerInfo* method = find_quantizer(name);
  if (method == nullptr)
    throw InputError(fmt::format("quantizer '{}': no method is called '{}'{}", shown(text), shown(name),
                                 suggestion(name, quantizer_names())));
  QuantSpec spec;
  spec.method = method->name;
  parse_steps(text, std::span(names).first(names.size() - 1), *method, spec);
  if (!method->quantizes()) {
    if (colon != std::string_view::npos) refuse_spec(text, fmt::format("'{}' has no bits to choose", name));
  } else {
    BitsReader(text, colon == std::string_view::npos ? std::string_view() : head.substr(colon + 1), *method, spec)
        .read();
  }
  if (at != std::string_view::npos) parse_options(text, text.substr(at + 1), *method, spec);
  settle_options(text, spec);
  return spec;
}

std::string to_text(const QuantSpec& spec) {
  std::string text;
  for (const std::string& step : spec.before) text += fmt::format("{}+", step);
  text += spec.method;
  if (!spec.type.empty()) text += fmt::format(":{}", spec.type);
  if (spec.weight_bits != 32) text += fmt::format(":w{}", spec.weight_bits);
  if (spec.group > 0) text += fmt::format("g{}", spec.group);
  if (spec.activation_bits != 32) text += fmt::format("{}a{}", spec.type.empty() ? "" : "-", spec.activation_bits);
  if (spec.activation_group > 0) text += fmt::format("g{}", spec.activation_group);
  char separator = '@';
  for (const auto& [key, value] : spec.options) {
    text += fmt::format("{}{}={}", separator, key, value);
    separator = ',';
  }
  return text;
}

}  // namespace qb
