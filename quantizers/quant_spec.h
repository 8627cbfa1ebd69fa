// What the user asks for, in one line.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qb {

/// Text: `[step+...]method[:w<bits>[g<group>][a<bits>[g<group>]]][@key=value[,key=value...]]`, e.g. `float`,
/// `rtn:w8a8`, `rtn:w4g32`, `kmeans:w4`, `rtn:w8a8@act=kl,mode=static`. Methods whose formats have names write
/// `method:<type>[g<group>][-a<bits>[g<group>]]` instead: `gguf:q4_K`, `mx:e2m1-a8`. Steps before quantizing
/// (preparation.h) stand before the method: `smoothquant+gptq:w4a8`. Options that equal their default are not written.
///
/// The text form is canonical: parse_quant_spec(to_text(s)) == s for every valid spec, and to_text is what run files,
/// reports and unit ids store.
struct QuantSpec {
  std::vector<std::string> before;                          ///< names of preparations, in the order of their work
  std::string method = "float";                             ///< a name from the quantizer registry
  std::string type;                                         ///< a format's name, of methods that have such; else empty
  int weight_bits = 32;                                     ///< 1..8; 32 for `float` and where a type says it
  std::int64_t group = 0;                                   ///< weights per scale along k; 0: as the option `per` says
  int activation_bits = 32;                                 ///< 2..8, or 32 for float activations
  std::int64_t activation_group = 0;                        ///< columns of a row that share a scale; 0: all of them
  std::map<std::string, std::string, std::less<>> options;  ///< without those at their default
  bool operator==(const QuantSpec&) const = default;
};

/// Throws InputError naming the offending part, what would be accepted, and the nearest valid spec.
QuantSpec parse_quant_spec(std::string_view text);
std::string to_text(const QuantSpec& spec);

}  // namespace qb
