#include <algorithm>
#include <array>

#include "quantizers/methods.h"
#include "quantizers/quantizer.h"

namespace qb {
namespace {

constexpr std::array kRtnOptions = {
    QuantizerOption{"per", "channel", "tensor|channel", "what shares one scale when there are no groups", ""},
    QuantizerOption{"grid", "sym", "sym|asym", "centred on zero, or with a zero point", ""},
    QuantizerOption{"range", "minmax", "minmax|percentile|mse", "how the range of each scale is chosen", ""},
    QuantizerOption{"percentile", "99.9", "number 50..100", "part of the weights inside the range, in percent",
                    "range=percentile"},
    QuantizerOption{"norm", "2", "number 1..4", "exponent of the error that the search minimises", "range=mse"},
};

constexpr std::array kKMeansOptions = {
    QuantizerOption{"per", "tensor", "tensor|channel", "what shares one table", ""},
    QuantizerOption{"init", "quantile", "linear|quantile|density|kmeans++|dp",
                    "first levels of the iteration; dp: the exact optimum, without iteration", ""},
    QuantizerOption{"restarts", "8", "integer 1..100", "runs of which the best is kept", "init=kmeans++"},
    QuantizerOption{"seed", "1", "integer 0..1000000000", "of the random first levels", "init=kmeans++"},
    QuantizerOption{"pin_zero", "0", "0|1", "one level is exactly zero", ""},
};

constexpr std::array kEntropyOptions = {
    QuantizerOption{"per", "tensor", "tensor|channel", "what shares one table", ""},
    QuantizerOption{"level", "mean", "mean|median", "what stands for the members of a slice", ""},
};

}  // namespace

std::span<const QuantizerInfo> quantizers() {
  static constexpr std::array kTable = {
      QuantizerInfo{"float", "weights and activations as they are, 32 bits", "", 32, 32, false, false, false, {}, nullptr, "f32"},
      QuantizerInfo{"rtn", "round to nearest on a uniform grid", "Jacob et al. 2018, arXiv:1712.05877", 2, 8, true, true, false,
                    kRtnOptions, quantize_rtn, "q<bits>c, q<bits>t, q<bits>g<size>; z appended with grid=asym"},
      QuantizerInfo{"kmeans", "a table of shared values that minimises the squared error", "Han et al. 2016, arXiv:1510.00149",
                    2, 8, false, true, false, kKMeansOptions, quantize_kmeans, "t<bits>t, t<bits>c"},
      QuantizerInfo{"entropy", "a table in which every code is used equally often: codes of maximal entropy",
                    "Messerschmitt 1971, Quantizing for maximum output entropy, IEEE Trans. Inform. Theory 17(5)", 2, 8, false, true, false, kEntropyOptions, quantize_entropy,
                    "t<bits>t, t<bits>c"},
  };
  return kTable;
}

const QuantizerInfo* find_quantizer(std::string_view name) {
  const auto table = quantizers();
  const auto found = std::find_if(table.begin(), table.end(), [&](const QuantizerInfo& row) { return row.name == name; });
  return found == table.end() ? nullptr : &*found;
}

std::vector<std::string> quantizer_names() {
  std::vector<std::string> names;
  for (const QuantizerInfo& row : quantizers()) names.emplace_back(row.name);
  return names;
}

}  // namespace qb
