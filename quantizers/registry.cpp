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
      QuantizerInfo{.name = "float",
                    .summary = "weights and activations as they are, 32 bits",
                    .paper = "",
                    .min_bits = 32,
                    .max_bits = 32,
                    .groups = false,
                    .activations = false,
                    .calibration = false,
                    .options = {},
                    .quantize = nullptr,
                    .formats = "f32"},
      QuantizerInfo{.name = "rtn",
                    .summary = "round to nearest on a uniform grid",
                    .paper = "Jacob et al. 2018, arXiv:1712.05877",
                    .min_bits = 2,
                    .max_bits = 8,
                    .groups = true,
                    .activations = true,
                    .calibration = false,
                    .options = kRtnOptions,
                    .quantize = quantize_rtn,
                    .formats = "q<bits>c, q<bits>t, q<bits>g<size>; z appended with grid=asym"},
      QuantizerInfo{.name = "kmeans",
                    .summary = "a table of shared values that minimises the squared error",
                    .paper = "Han et al. 2016, arXiv:1510.00149",
                    .min_bits = 2,
                    .max_bits = 8,
                    .groups = false,
                    .activations = true,
                    .calibration = false,
                    .options = kKMeansOptions,
                    .quantize = quantize_kmeans,
                    .formats = "t<bits>t, t<bits>c"},
      QuantizerInfo{.name = "entropy",
                    .summary = "a table in which every code is used equally often: codes of maximal entropy",
                    .paper = "Messerschmitt 1971, IEEE Trans. Inform. Theory 17(5)",
                    .min_bits = 2,
                    .max_bits = 8,
                    .groups = false,
                    .activations = true,
                    .calibration = false,
                    .options = kEntropyOptions,
                    .quantize = quantize_entropy,
                    .formats = "t<bits>t, t<bits>c"},
  };
  return kTable;
}

const QuantizerInfo* find_quantizer(std::string_view name) {
  const auto table = quantizers();
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const QuantizerInfo& row) { return row.name == name; });
  return found == table.end() ? nullptr : &*found;
}

std::vector<std::string> quantizer_names() {
  std::vector<std::string> names;
  for (const QuantizerInfo& row : quantizers()) names.emplace_back(row.name);
  return names;
}

}  // namespace qb
