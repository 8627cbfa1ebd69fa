#include "quantizers/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kernels/base/text.h"
#include "quantizers/preparation.h"

namespace qb {

std::span<const QuantizerOption> common_options() {
  static constexpr std::array kOptions = {
      QuantizerOption{"skip", "", "first|last|NAME[+NAME..]", "layers that stay float, by place, node or weight name",
                      ""},
      QuantizerOption{"bias", "keep", "keep|correct",
                      "correct: biases take up the mean error of their layer's results on the calibration samples", "",
                      "correct"},
  };
  return kOptions;
}

std::span<const QuantizerOption> activation_options() {
  static constexpr std::array kOptions = {
      QuantizerOption{"mode", "dynamic", "dynamic|static",
                      "ranges of activations: of each row or sample when it comes, or fixed by calibration", "a<bits>"},
      QuantizerOption{"act", "minmax",
                      "minmax|average|percentile|mse|kl|aciq|octav|entropy|kl-modelopt|kl-paddleslim|kl-mxnet|kl-ort",
                      "how calibration chooses a fixed range", "mode=static"},
      QuantizerOption{"asym", "0", "0|1", "fixed ranges need not be centred on zero (a zero point is used)",
                      "mode=static"},
      QuantizerOption{"act_percentile", "99.99", "number 50..100", "part of the values inside the range, in percent",
                      "act=percentile"},
      QuantizerOption{"act_norm", "2", "number 1..4", "exponent of the error that the search minimises", "act=mse"},
      QuantizerOption{"rate", "0.1", "number 0.0001..1", "weight of the newest batch of 32 samples", "act=average"},
      QuantizerOption{"requant", "none", "none|double|single|float64",
                      "results between quantized layers as codes: int32 sums and biases times a fixed-point multiplier "
                      "with two roundings (gemmlowp, TensorFlow Lite) or one; or times a float64",
                      "mode=static"},
  };
  return kOptions;
}

std::string spec_form(const QuantizerInfo& method) {
  if (!method.quantizes()) return std::string(method.name);
  const std::string_view group = method.groups ? "[g<size>]" : "";
  if (method.plan != nullptr)
    return fmt::format("{0}:<number>bpw{1}{2} or {0}:<number>dB{1}{2}", method.name, group, "[-a<bits>[g<size>]]");
  if (method.types.empty())
    return fmt::format("{}:w<bits>{}{}", method.name, group, method.activations ? "[a<bits>[g<size>]]" : "");
  return fmt::format("{}:<{}>{}{}", method.name, method.types, group, method.activations ? "[-a<bits>[g<size>]]" : "");
}

std::vector<QuantizerOption> all_options(const QuantSpec& spec) {
  const QuantizerInfo* method = find_quantizer(spec.method);
  QB_EXPECTS(method != nullptr);
  std::vector<QuantizerOption> all = all_options(*method);
  for (const std::string& name : spec.before) {
    const std::span<const QuantizerOption> own = find_preparation(name)->options;
    all.insert(all.end(), own.begin(), own.end());
  }
  return all;
}

std::vector<QuantizerOption> all_options(const QuantizerInfo& method) {
  std::vector<QuantizerOption> all(method.options.begin(), method.options.end());
  if (const Preparation* step = find_preparation(method.preparation))
    all.insert(all.end(), step->options.begin(), step->options.end());
  if (method.quantizes()) all.insert(all.end(), common_options().begin(), common_options().end());
  if (method.activations) all.insert(all.end(), activation_options().begin(), activation_options().end());
  return all;
}

namespace {

[[noreturn]] void refuse_value(const QuantizerOption& option, std::string_view value, const std::string& hint = {}) {
  throw InputError(
      fmt::format("option '{}' cannot be '{}', it accepts {}{}", option.key, value, option.accepted, hint));
}

/// "first|last|NAME[+NAME..]": any names without the characters that separate them; sorted, each once.
std::string canonical_names(const QuantizerOption& option, std::string_view value) {
  std::vector<std::string> names;
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (!valid_utf8(value) || std::any_of(value.begin(), value.end(), is_control))
    throw InputError(fmt::format("option '{}' holds bytes that are no printable UTF-8 text", option.key));
  for (const std::string_view name : split(value, '+')) {
    if (name.empty()) refuse_value(option, value);
    names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return join(names, "+");
}

/// The bounds of "number 0..1" or "integer 1..100".
struct Bounds {
  double low, high;
};
Bounds bounds_of(std::string_view accepted) {
  const std::string_view range = accepted.substr(accepted.find(' ') + 1);
  const std::size_t dots = range.find("..");
  return {parse_double(range.substr(0, dots)).value(), parse_double(range.substr(dots + 2)).value()};
}

}  // namespace

std::string canonical_value(const QuantizerOption& option, std::string_view value) {
  if (option.accepted.find("NAME") != std::string_view::npos) return canonical_names(option, value);
  if (option.accepted.starts_with("number ")) {
    const std::optional<double> number = parse_double(value);
    const Bounds bounds = bounds_of(option.accepted);
    if (!number || *number < bounds.low || *number > bounds.high) refuse_value(option, value);
    return fmt::format("{}", *number);
  }
  if (option.accepted.starts_with("integer ")) {
    const std::optional<std::int64_t> integer = parse_int(value);
    const Bounds bounds = bounds_of(option.accepted);
    if (!integer || double(*integer) < bounds.low || double(*integer) > bounds.high) refuse_value(option, value);
    return fmt::format("{}", *integer);
  }
  std::vector<std::string> words;
  for (const std::string_view word : split(option.accepted, '|')) words.emplace_back(word);
  if (std::find(words.begin(), words.end(), value) != words.end()) return std::string(value);
  const std::string near = nearest_name(value, words);
  refuse_value(option, value, near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
}

std::string_view option_of(const QuantSpec& spec, std::string_view key) {
  if (const auto given = spec.options.find(key); given != spec.options.end()) return given->second;
  for (const QuantizerOption& option : all_options(spec))
    if (option.key == key) return option.otherwise;
  QB_EXPECTS(false && "a key that the method knows");
  return {};
}

bool knows_option(const QuantSpec& spec, std::string_view key) {
  const QuantizerInfo* method = find_quantizer(spec.method);
  QB_EXPECTS(method != nullptr);
  return std::ranges::find(method->options, key, &QuantizerOption::key) != method->options.end();
}

double number_of(const QuantSpec& spec, std::string_view key) { return parse_double(option_of(spec, key)).value(); }

std::int64_t integer_of(const QuantSpec& spec, std::string_view key) { return parse_int(option_of(spec, key)).value(); }

bool flag_of(const QuantSpec& spec, std::string_view key) { return option_of(spec, key) == "1"; }

QuantFormat weight_format(const QuantSpec& spec, CodeKind kind) {
  QuantFormat format;
  format.kind = kind;
  format.bits = spec.weight_bits;
  format.group = spec.group;
  const bool by_tensor = knows_option(spec, "per") && option_of(spec, "per") == "tensor";
  format.sharing = spec.group > 0 ? Sharing::group : by_tensor ? Sharing::tensor : Sharing::channel;
  return format;
}

}  // namespace qb
