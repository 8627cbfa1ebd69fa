// The keys after '@' in a spec: which a method knows, what they accept, and their values in one canonical spelling.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quantizers/quantizer.h"

namespace qb {

/// Options of every method that quantizes: `skip`.
std::span<const QuantizerOption> common_options();

/// Options of activations, known to every method that accepts a<bits>.
std::span<const QuantizerOption> activation_options();

/// What a spec of this method looks like, without options: "rtn:w<bits>[g<size>][a<bits>]".
std::string spec_form(const QuantizerInfo& method);

/// Everything a spec of this method may carry, in the order of the tables: its own, common ones, those of activations.
std::vector<QuantizerOption> all_options(const QuantizerInfo& method);

/// The same, and what the steps before quantizing know.
std::vector<QuantizerOption> all_options(const QuantSpec& spec);

/// The one spelling of `value` that is stored: numbers in their shortest form, names sorted and each once.
/// Throws InputError, naming key, value and what is accepted; the message has no subject, callers put the spec before
/// it.
std::string canonical_value(const QuantizerOption& option, std::string_view value);

/// The value a spec gives, or the default. The key must be one of the method's.
std::string_view option_of(const QuantSpec& spec, std::string_view key);
double number_of(const QuantSpec& spec, std::string_view key);
std::int64_t integer_of(const QuantSpec& spec, std::string_view key);
bool flag_of(const QuantSpec& spec, std::string_view key);  ///< options that accept 0|1

bool knows_option(const QuantSpec& spec, std::string_view key);  ///< whether the method itself has it

/// The format that a spec gives the weights of every matrix: integers for grids, tables for codebooks. By channel where
/// there are neither groups nor an option `per`.
QuantFormat weight_format(const QuantSpec& spec, CodeKind kind);

}  // namespace qb
