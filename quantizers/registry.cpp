#include <algorithm>
#include <array>

#include "quantizers/methods.h"
#include "quantizers/quantizer.h"

namespace qb {
namespace {

constexpr std::array kRtnOptions = {
    QuantizerOption{"per", "channel", "tensor|channel", "what shares one scale when there are no groups", ""},
    QuantizerOption{"grid", "sym", "sym|asym", "centred on zero, or with a zero point", ""},
    QuantizerOption{"range", "minmax", "minmax|percentile|mse|aciq|octav|entropy",
                    "how the range of each scale is chosen", ""},
    QuantizerOption{"percentile", "99.9", "number 50..100", "part of the weights inside the range, in percent",
                    "range=percentile"},
    QuantizerOption{"norm", "2", "number 1..4", "exponent of the error that the search minimises", "range=mse"},
    QuantizerOption{"scale", "f32", "f32|f16", "how scales are stored", ""},
};

constexpr QuantizerOption kInputsOption = {
    "inputs", "float", "float|quantized|asymmetric",
    "on which samples are learnt from: inputs of the layer in the float model; those that the quantized layers before "
    "it make; the same, with the float model's results as target",
    ""};

constexpr std::array kGptqOptions = {
    kRtnOptions[1],
    kRtnOptions[2],
    kRtnOptions[3],
    kRtnOptions[4],
    kRtnOptions[5],
    QuantizerOption{"order", "natural", "natural|act",
                    "in which columns are rounded; act: those with the largest inputs first, grids of groups from the "
                    "original weights",
                    ""},
    QuantizerOption{"damp", "0.01", "number 0.000001..10", "part of the mean diagonal added to the diagonal", ""},
    kInputsOption,
};

constexpr std::array kAdaRoundOptions = {
    kRtnOptions[1],
    kRtnOptions[2],
    kRtnOptions[3],
    kRtnOptions[4],
    kRtnOptions[5],
    QuantizerOption{"steps", "2000", "integer 1..100000", "of the descent", ""},
    QuantizerOption{"weight", "10", "number 0..100000",
                    "of the term that drives roundings up or down, against the layer's relative error", ""},
    kInputsOption,
};

constexpr std::array kAutoOptions = {
    QuantizerOption{"with", "rtn", "rtn|gptq|adaround|hqq|kmeans", "the method that quantizes each layer", ""},
};

constexpr std::array kAwqOptions = {
    QuantizerOption{"grid", "asym", "asym|sym", "with a zero point, or centred on zero", ""},
    QuantizerOption{"clip", "1", "0|1", "whether ranges are clipped for the least error of the results", ""},
    kRtnOptions[5],
};

constexpr std::array kKMeansOptions = {
    QuantizerOption{"per", "tensor", "tensor|channel", "what shares one table when there are no groups", ""},
    QuantizerOption{"weight", "none", "none|inputs",
                    "inputs: errors count by the mean square of their inputs on the calibration samples", "", "inputs"},
    QuantizerOption{"init", "quantile", "linear|quantile|density|kmeans++|dp",
                    "first levels of the iteration; dp: the exact optimum, without iteration", ""},
    QuantizerOption{"restarts", "8", "integer 1..100", "runs of which the best is kept", "init=kmeans++"},
    QuantizerOption{"seed", "1", "integer 0..1000000000", "of the random first levels", "init=kmeans++"},
    QuantizerOption{"pin_zero", "0", "0|1", "one level is exactly zero", ""},
};

constexpr std::array kAny4Options = {
    kKMeansOptions[1],
    QuantizerOption{"init", "quantile", "linear|quantile|density|kmeans++|dp",
                    "first levels of the iteration; dp: the exact optimum, without iteration", ""},
    QuantizerOption{"scale", "f32", "f32|f16", "how scales and offsets of groups are stored", ""},
};

constexpr std::array kLloydOptions = {
    QuantizerOption{"per", "tensor", "tensor|channel", "what shares one table when there are no groups", ""},
    QuantizerOption{"prior", "gauss", "gauss|laplace|best",
                    "the distribution for which levels are optimal; best: of the two that which errs less", ""},
    QuantizerOption{"fit", "moments", "moments|mse",
                    "how levels are placed: by mean and deviation; from there on for the least squared error", ""},
    QuantizerOption{"scale", "f32", "f32|f16", "how scales and offsets of groups are stored", ""},
};

constexpr std::array kEntropyOptions = {
    QuantizerOption{"per", "tensor", "tensor|channel", "what shares one table when there are no groups", ""},
    QuantizerOption{"level", "mean", "mean|median", "what stands for the members of a slice", ""},
};

constexpr std::array kScaledLevelsOptions = {
    QuantizerOption{"per", "channel", "tensor|channel", "what shares one scale when there are no groups", ""},
    QuantizerOption{"scale", "f32", "f32|f16|e8m0", "how scales are stored; e8m0: powers of two, rounded up", ""},
};

constexpr std::array kNormalFloatOptions = {
    kScaledLevelsOptions[0],
    QuantizerOption{"scale", "f32", "f32|f16|e8m0|dq8",
                    "how scales are stored; e8m0: powers of two, rounded up; dq8: 8 bits of their difference from the "
                    "mean, under a float32 per 256 of them (double quantization)",
                    ""},
};

constexpr std::array kPowersOptions = {
    kScaledLevelsOptions[0],
    kScaledLevelsOptions[1],
    QuantizerOption{
        "range", "minmax", "minmax|sigma|mse",
        "how the range of each scale is chosen: all weights; three standard deviations from zero, where the "
        "training of the paper begins; the least squared error of 100 clips",
        ""},
};

constexpr std::array kTernaryOptions = {
    QuantizerOption{"per", "channel", "tensor|channel", "what shares one scale when there are no groups", ""},
    QuantizerOption{
        "rule", "optimal", "optimal|twn|absmean|refit",
        "which weights become 0, and the scale: least squared error; below 0.7 of the mean magnitude; below "
        "half of it, with that mean as scale; the same with the best scale",
        ""},
    QuantizerOption{"scale", "f32", "f32|f16|e8m0", "how scales are stored; e8m0: powers of two, rounded up", ""},
    QuantizerOption{"store", "2bit", "2bit|base3", "four weights to a byte, or five", ""},
};

constexpr std::array kMxOptions = {
    QuantizerOption{
        "rule", "floor", "floor|ceil|even|up",
        "how a block's power of two follows from its largest magnitude: OCP; never clipping; after rounding "
        "it to an element; the least that does not clip",
        ""},
};

constexpr std::array kNvfp4Options = {
    QuantizerOption{"levels", "two", "one|two", "scales of blocks alone, or under one float32 of the tensor", ""},
};

constexpr std::array kHqqOptions = {
    QuantizerOption{"per", "channel", "tensor|channel", "what shares one scale when there are no groups", ""},
    QuantizerOption{"norm", "0.7", "number 0.1..1", "exponent of the error's norm", ""},
    QuantizerOption{"steps", "20", "integer 0..1000", "most steps of the iteration; 0: round to nearest", ""},
    QuantizerOption{"scale", "f32", "f32|f16", "how scales and offsets are stored", ""},
};

constexpr std::array kGgufOptions = {
    QuantizerOption{
        "imatrix", "0", "0|1",
        "errors count by the mean square of their inputs on the calibration samples; not for types without a "
        "search (q8_0, q1_0, q2_0, tq1_0, tq2_0, mxfp4, nvfp4)",
        "", "1"},
};

constexpr std::string_view kGgufTypes =
    "q4_0|q4_1|q5_0|q5_1|q8_0|q2_K|q3_K|q4_K|q5_K|q6_K|iq4_nl|iq4_xs|tq1_0|tq2_0|q1_0|q2_0|mxfp4|nvfp4|"
    "q2_K_S|q2_K_M|q3_K_S|q3_K_M|q3_K_L|q4_K_S|q4_K_M|q5_K_S|q5_K_M";

}  // namespace

std::span<const QuantizerInfo> quantizers() {
  static constexpr std::array kTable = {
      QuantizerInfo{.name = "float",
                    .summary = "weights and activations as they are, 32 bits",
                    .min_bits = 32,
                    .max_bits = 32,
                    .activations = false,
                    .formats = "f32"},
      QuantizerInfo{.name = "rtn",
                    .summary = "round to nearest on a uniform grid",
                    .paper = "Jacob et al. 2018, arXiv:1712.05877",
                    .min_bits = 2,
                    .max_bits = 8,
                    .groups = true,
                    .options = kRtnOptions,
                    .quantize = quantize_rtn,
                    .formats = "q<bits>c, q<bits>t, q<bits>g<size>; z appended with grid=asym"},
      QuantizerInfo{.name = "kmeans",
                    .summary = "a table of shared values that minimises the squared error",
                    .paper = "Han et al. 2016, arXiv:1510.00149; Kim et al. 2024, arXiv:2306.07629",
                    .min_bits = 2,
                    .max_bits = 8,
                    .groups = true,
                    .options = kKMeansOptions,
                    .quantize = quantize_kmeans,
                    .formats = "t<bits>t, t<bits>c, t<bits>g<size>"},
      QuantizerInfo{.name = "any4",
                    .summary = "a table of shared values for each row, over groups scaled and shifted to one range",
                    .paper = "Elhoushi and Johnson 2025, arXiv:2507.04610",
                    .min_bits = 2,
                    .max_bits = 8,
                    .groups = true,
                    .options = kAny4Options,
                    .quantize = quantize_any4,
                    .formats = "t<bits>g<size>o, t<bits>c without groups; .f16 appended with scale"},
      QuantizerInfo{.name = "lloyd",
                    .summary = "the levels with the least squared error for normal or Laplace weights",
                    .paper = "Max 1960, IRE Trans. Inform. Theory 6(1); Lloyd 1982",
                    .min_bits = 2,
                    .max_bits = 8,
                    .groups = true,
                    .options = kLloydOptions,
                    .quantize = quantize_lloyd,
                    .formats = "t<bits>t, t<bits>c; t<bits>g<size>o, .f16 appended with scale"},
      QuantizerInfo{.name = "entropy",
                    .summary = "a table in which every code is used equally often: codes of maximal entropy",
                    .paper = "Messerschmitt 1971, IEEE Trans. Inform. Theory 17(5)",
                    .min_bits = 2,
                    .max_bits = 8,
                    .groups = true,
                    .options = kEntropyOptions,
                    .quantize = quantize_entropy,
                    .formats = "t<bits>t, t<bits>c, t<bits>g<size>"},
      QuantizerInfo{.name = "fp8",
                    .summary = "8-bit floats",
                    .paper = "Micikevicius et al. 2022, arXiv:2209.05433",
                    .types = "e4m3|e5m2",
                    .min_bits = 8,
                    .max_bits = 8,
                    .groups = true,
                    .options = kScaledLevelsOptions,
                    .quantize = quantize_fp8,
                    .formats = "e4m3c, e5m2t, e4m3g<size>; .f16 or .e8m0 appended with scale"},
      QuantizerInfo{.name = "mx",
                    .summary = "blocks of 32 with one power of two (OCP Microscaling)",
                    .paper = "Rouhani et al. 2023, arXiv:2310.10537",
                    .types = "e4m3|e5m2|e3m2|e2m3|e2m1|int8",
                    .min_bits = 4,
                    .max_bits = 8,
                    .options = kMxOptions,
                    .quantize = quantize_mx,
                    .formats = "e2m1g32.e8m0 and its like; q8g32.e8m0 for int8"},
      QuantizerInfo{.name = "nvfp4",
                    .summary = "4-bit floats in blocks of 16 with an 8-bit float scale",
                    .paper = "NVIDIA Model Optimizer, nvfp4_tensor",
                    .min_bits = 4,
                    .max_bits = 4,
                    .options = kNvfp4Options,
                    .quantize = quantize_nvfp4,
                    .formats = "e2m1g16.e4m3"},
      QuantizerInfo{.name = "nf4",
                    .summary = "16 levels that normally distributed weights use equally often",
                    .paper = "Dettmers et al. 2023, arXiv:2305.14314",
                    .min_bits = 4,
                    .max_bits = 4,
                    .groups = true,
                    .options = kNormalFloatOptions,
                    .quantize = quantize_nf4,
                    .formats = "nf4g<size>, nf4c, nf4t; .f16, .e8m0 or .dq8 appended with scale"},
      QuantizerInfo{.name = "af4",
                    .summary = "16 levels with the least expected error in blocks of 64",
                    .paper = "Yoshida 2023, arXiv:2306.06965",
                    .min_bits = 4,
                    .max_bits = 4,
                    .groups = true,
                    .options = kNormalFloatOptions,
                    .quantize = quantize_nf4,
                    .formats = "af4g<size>, af4c, af4t; .f16, .e8m0 or .dq8 appended with scale"},
      QuantizerInfo{.name = "pot",
                    .summary = "zero and powers of two, so that products are shifts",
                    .paper = "Miyashita et al. 2016, arXiv:1603.01025",
                    .min_bits = 3,
                    .max_bits = 5,
                    .groups = true,
                    .options = kPowersOptions,
                    .quantize = quantize_powers,
                    .formats = "pot<bits>c, pot<bits>t, pot<bits>g<size>; .f16 or .e8m0 appended with scale"},
      QuantizerInfo{.name = "apot",
                    .summary = "sums of two or three powers of two",
                    .paper = "Li et al. 2020, arXiv:1909.13144",
                    .min_bits = 4,
                    .max_bits = 7,
                    .groups = true,
                    .options = kPowersOptions,
                    .quantize = quantize_powers,
                    .formats = "apot<bits>c, apot<bits>t, apot<bits>g<size>; .f16 or .e8m0 appended with scale"},
      QuantizerInfo{.name = "gguf",
                    .summary = "the block types of GGUF files, and llama.cpp's mixtures of them",
                    .paper = "ggml-org/ggml",
                    .types = kGgufTypes,
                    .min_bits = 1,
                    .max_bits = 8,
                    .options = kGgufOptions,
                    .quantize = quantize_gguf,
                    .formats = "q4g32.f16 (q4_0), q4g32o.i6 (q4_K) and so on; mixtures by layer"},
      QuantizerInfo{.name = "hqq",
                    .summary = "real zero points that shrink a norm below 1 of the error",
                    .paper = "Badri and Shaji 2023, Half-Quadratic Quantization",
                    .min_bits = 1,
                    .max_bits = 8,
                    .groups = true,
                    .options = kHqqOptions,
                    .quantize = quantize_hqq,
                    .formats = "q<bits>g<size>o, q<bits>co"},
      QuantizerInfo{.name = "ternary",
                    .summary = "-1, 0 and 1 times a scale",
                    .paper = "Li et al. 2016, arXiv:1605.04711; Ma et al. 2024, arXiv:2402.17764",
                    .min_bits = 2,
                    .max_bits = 2,
                    .groups = true,
                    .options = kTernaryOptions,
                    .quantize = quantize_ternary,
                    .formats = "ternaryc, ternaryg<size>; trit with store=base3"},
      QuantizerInfo{.name = "binary",
                    .summary = "signs times the mean magnitude",
                    .paper = "Rastegari et al. 2016, arXiv:1603.05279",
                    .min_bits = 1,
                    .max_bits = 1,
                    .groups = true,
                    .options = kScaledLevelsOptions,
                    .quantize = quantize_binary,
                    .formats = "binaryc, binaryt, binaryg<size>"},
      QuantizerInfo{.name = "gptq",
                    .summary = "rounds column by column, later ones making up for the errors of earlier ones",
                    .paper = "Frantar et al. 2023, arXiv:2210.17323",
                    .min_bits = 2,
                    .max_bits = 8,
                    .groups = true,
                    .calibration = true,
                    .options = kGptqOptions,
                    .quantize = quantize_gptq,
                    .formats = "q<bits>c, q<bits>g<size>; z appended with grid=asym"},
      QuantizerInfo{.name = "adaround",
                    .summary = "learns which weights are rounded up and which down",
                    .paper = "Nagel et al. 2020, arXiv:2004.10568",
                    .min_bits = 2,
                    .max_bits = 8,
                    .groups = true,
                    .calibration = true,
                    .options = kAdaRoundOptions,
                    .quantize = quantize_adaround,
                    .formats = "q<bits>c, q<bits>g<size>; z appended with grid=asym"},
      QuantizerInfo{.name = "awq",
                    .summary = "round to nearest with channels of large inputs enlarged, and ranges clipped",
                    .paper = "Lin et al. 2024, arXiv:2306.00978",
                    .min_bits = 2,
                    .max_bits = 8,
                    .groups = true,
                    .calibration = true,
                    .options = kAwqOptions,
                    .quantize = quantize_awq,
                    .formats = "q<bits>g<size>z, q<bits>cz; without z with grid=sym",
                    .preparation = "awq"},
      QuantizerInfo{.name = "auto",
                    .summary = "each layer's bits by what they do to the results, under a budget of size or error",
                    .paper = "Dong et al. 2020, arXiv:1911.03852",
                    .min_bits = 2,
                    .max_bits = 8,
                    .groups = true,
                    .calibration = true,
                    .options = kAutoOptions,
                    .formats = "those of the method that quantizes the layers, of 2, 3, 4, 5, 6 and 8 bits",
                    .plan = plan_bits},
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
