#include "quantizers/quant_spec.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include "kernels/base/random.h"
#include "kernels/base/text.h"
#include "quantizers/options.h"

namespace qb {
namespace {

std::string refusal(const std::string& text) {
  try {
    parse_quant_spec(text);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a spec says what it means") {
  const QuantSpec spec = parse_quant_spec("rtn:w4g32a8@mode=static,act=kl");
  CHECK(spec.method == "rtn");
  CHECK(spec.weight_bits == 4);
  CHECK(spec.group == 32);
  CHECK(spec.activation_bits == 8);
  CHECK(option_of(spec, "act") == "kl");
  CHECK(option_of(spec, "range") == "minmax");
  CHECK(parse_quant_spec("float") == QuantSpec{});
}

TEST_CASE("the text form is canonical") {
  constexpr std::array kPairs = {
      std::pair("float", "float"),
      std::pair("rtn:w8", "rtn:w8"),
      std::pair("rtn:w2g128a4", "rtn:w2g128a4"),
      std::pair("rtn:w4g32a8g32", "rtn:w4g32a8g32"),
      std::pair("gptq:w4g64a8g256@grid=asym", "gptq:w4g64a8g256@grid=asym"),
      std::pair("gguf:q4_0-a8g32", "gguf:q4_0-a8g32"),
      std::pair("gguf:q6_K-a8g256", "gguf:q6_K-a8g256"),
      std::pair("auto:4bpwg32-a8g32", "auto:4bpwg32-a8g32"),
      std::pair("rtn:w8@per=channel,grid=sym", "rtn:w8"),
      std::pair("rtn:w4@range=percentile,percentile=99.90", "rtn:w4@range=percentile"),
      std::pair("rtn:w4@range=mse,norm=2.40", "rtn:w4@norm=2.4,range=mse"),
      std::pair("rtn:w8a8@rate=1e-2,mode=static,act=average", "rtn:w8a8@act=average,mode=static,rate=0.01"),
      std::pair("kmeans:w4@init=kmeans++,restarts=08", "kmeans:w4@init=kmeans++"),
      std::pair("auto:3.50bpwg32-a8@with=rtn", "auto:3.5bpwg32-a8"),
      std::pair("auto:30.0dB@with=gptq", "auto:30dB@with=gptq"),
      std::pair("smoothquant+gptq:w4a8@alpha=0.50", "smoothquant+gptq:w4a8"),
      std::pair("equalize+awq:w4g32@ratios=10,sweeps=20,clip=1", "equalize+awq:w4g32@ratios=10"),
      std::pair("rtn:w4@skip=last+first+last", "rtn:w4@skip=first+last"),
      std::pair("rtn:w4@skip=/conv1/Conv+a=b@c", "rtn:w4@skip=/conv1/Conv+a=b@c"),
  };
  for (const auto& [given, canonical] : kPairs) {
    INFO(std::string(given));
    const QuantSpec spec = parse_quant_spec(given);
    CHECK(to_text(spec) == canonical);
    CHECK(parse_quant_spec(canonical) == spec);
  }
}

TEST_CASE("a refusal is one sentence with the fault and the nearest valid spec") {
  struct Row {
    const char* text;
    std::vector<std::string> parts;
  };
  const std::vector<Row> rows = {
      {"rtn:w5x", {"'x' is not understood", "'rtn:w5'"}},
      {"rnt:w8", {"no method is called 'rnt'", "'rtn'"}},
      {"", {"no method is called ''"}},
      {"zzzzzzzz:w8", {"known are"}},
      {"rtn", {"bits of the weights are missing", "'rtn:w8'"}},
      {"rtn:", {"'rtn:w8'"}},
      {"rtn:w9", {"2 to 8 bits", "'rtn:w8'"}},
      {"rtn:w1g32", {"2 to 8 bits", "'rtn:w2g32'"}},
      {"rtn:w99999999999999999999", {"2 to 8 bits"}},
      {"rtn:w4g1", {"groups can have", "'rtn:w4g4'"}},
      {"rtn:w4a8g32", {"groups of 32 need weights in groups that divide 32", "'rtn:w4g32a8g32'"}},
      {"rtn:w4g128a8g64", {"groups of 64 need weights in groups that divide 64", "'rtn:w4g64a8g64'"}},
      {"rtn:w4g8a8g32", {"multiples of 16", "'rtn:w4g32a8g32'"}},
      {"rtn:w4g32a8g48", {"32, 64, 128, 256 columns of activations can share a scale", "'rtn:w4g32a8g32'"}},
      {"rtn:w4g32a8g9999999", {"32, 64, 128, 256 columns", "'rtn:w4g32a8g256'"}},
      {"rtn:w4g32a8g", {"must be followed by a number", "'rtn:w4g32a8'"}},
      {"rtn:w4g32a8g32@mode=static", {"fixes one scale for all activations", "one per 32 columns"}},
      {"gguf:q4_0-a8g33", {"32, 64, 128, 256 columns", "'gguf:q4_0-a8g32'"}},
      {"ternary:w2a8g32", {"'ternary"}},
      {"rtn:w8a16", {"activations can have 2 to 8 bits", "'rtn:w8a8'"}},
      {"rtn:w08", {"does not begin with 0", "'rtn:w8'"}},
      {"rtn:w", {"must be followed by a number"}},
      {"rtn:8", {"'rtn:w8'"}},
      {"nvfp4:w4g32", {"does not work in groups", "'nvfp4:w4'"}},
      {"float:w8", {"no bits to choose", "'float'"}},
      {"float@skip=first", {"no options"}},
      {"rtn:w8@", {"write @key=value"}},
      {"rtn:w8@gird=asym", {"no option 'gird'", "'grid'"}},
      {"rtn:w8@grid=asm", {"accepts sym|asym", "did you mean 'asym'"}},
      {"rtn:w8@grid=asym,grid=sym", {"stands twice"}},
      {"rtn:w8@range=percentile,percentile=101", {"accepts number 50..100"}},
      {"rtn:w8@range=percentile,percentile=nan", {"accepts number 50..100"}},
      {"rtn:w8@percentile=99", {"means nothing without range=percentile"}},
      {"rtn:w8@mode=static", {"means nothing without a<bits>"}},
      {"rtn:w8a8@act=kl", {"means nothing without mode=static"}},
      {"rtn:w4g32@per=tensor", {"contradict"}},
      {"rtn:w4@skip=", {"accepts first|last"}},
      {"rtn:w4@skip=a++b", {"accepts first|last"}},
      {"rtn:w4@skip=\xff", {"UTF-8"}},
      {"auto", {"budget is missing", "'auto:4bpw'"}},
      {"auto:3.5", {"budget is missing", "'auto:4bpw'"}},
      {"auto:0bpw", {"above 0 and at most 200bpw"}},
      {"auto:1e9dB", {"budget is missing", "'auto:30dB'"}},
      {"auto:4bpwx", {"'x' is not understood", "'auto:4bpw'"}},
      {"smothquant+rtn:w8", {"no step before quantizing is called 'smothquant'", "'smoothquant'"}},
      {"+rtn:w8", {"no step before quantizing is called ''"}},
      {"smoothquant+rnt:w8", {"no method is called 'rnt'", "'rtn'"}},
      {"smoothquant+rtn:w9", {"2 to 8 bits", "'smoothquant+rtn:w8'"}},
      {"smoothquant+float", {"nothing to prepare", "'float'"}},
      {"smoothquant+smoothquant+rtn:w8", {"'smoothquant' is there twice"}},
      {"awq+awq:w4", {"'awq' is there twice"}},
      {"awq+nf4:w4", {"goes before methods with an option 'grid' only"}},
      {"rtn:w8@alpha=0.5", {"no option 'alpha'"}},
  };
  for (const Row& row : rows) {
    INFO(std::string(row.text));
    const std::string message = refusal(row.text);
    CHECK(message.starts_with("quantizer '"));
    CHECK_FALSE(holds(message, "\n"));
    for (const std::string& part : row.parts) CHECK_MESSAGE(holds(message, part), message);
  }
  CHECK(holds(refusal(std::string(2000, 'w')), "2000 bytes long"));
}

TEST_CASE("random texts are refused or read, and what is read prints to itself") {
  const std::vector<std::string> pieces = {"rtn",   "kmeans", "entropy", "float", ":",     "w",    "a",      "g",
                                           "8",     "4",      "2",       "32",    "0",     "@",    ",",      "=",
                                           "per",   "tensor", "channel", "grid",  "asym",  "mode", "static", "act",
                                           "kl",    "skip",   "first",   "+",     "range", "mse",  "norm",   "1.5",
                                           "1e300", "-1",     "\xc3",    " ",     "\n"};
  Random random(1);
  int read = 0;
  for (int round = 0; round < 200000; ++round) {
    // Half of the texts begin like a spec, so that options are reached too.
    std::string text = round % 2 == 0 ? "" : pieces[random.below(3)] + ":w" + std::to_string(1 + random.below(9));
    const std::uint64_t count = random.below(10);
    for (std::uint64_t i = 0; i < count; ++i)
      text += random.below(20) == 0 ? std::string(1, char(random.below(256))) : pieces[random.below(pieces.size())];
    try {
      const QuantSpec spec = parse_quant_spec(text);
      ++read;
      const std::string canonical = to_text(spec);
      if (parse_quant_spec(canonical) != spec || to_text(parse_quant_spec(canonical)) != canonical)
        FAIL("not canonical: ", text);
    } catch (const InputError& error) {
      const std::string message = error.what();
      if (message.empty() || holds(message, "\n")) FAIL("not one line: ", message);
    }
  }
  CHECK(read > 1000);
}

TEST_CASE("every value that the tables offer is accepted, and every default is written as itself") {
  for (const QuantizerInfo& method : quantizers()) {
    if (!method.quantizes()) continue;
    CHECK_FALSE(method.formats.empty());
    QuantSpec plain;
    plain.method = method.name;
    if (method.plan != nullptr)
      plain.type = "3.5bpw";
    else if (method.types.empty())
      plain.weight_bits = method.max_bits;
    else
      plain.type = split(method.types, '|').back();
    for (const QuantizerOption& option : all_options(method)) {
      INFO(std::string(method.name), " ", std::string(option.key));
      if (!option.otherwise.empty()) {
        CHECK(canonical_value(option, option.otherwise) == option.otherwise);
        CHECK(option_of(plain, option.key) == option.otherwise);
      }
      CHECK_FALSE(option.meaning.empty());
    }
    CHECK(parse_quant_spec(to_text(plain)) == plain);
  }
}

}  // namespace qb
