// Depthwise kernels of the table against their references and against the formula in float64.
#include "kernels/depthwise.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/base/cpu.h"
#include "kernels/base/random.h"
#include "tests/kernels/gemm_case.h"

namespace qb {

namespace {

/// One axis of a depthwise convolution.
struct Axis {
  std::int64_t in = 1, kernel = 1, stride = 1, dilation = 1, begin = 0, end = 0;
  std::int64_t out() const { return (in + begin + end - (kernel - 1) * dilation - 1) / stride + 1; }
};

struct DepthwiseCase {
  std::int64_t batch = 1, channels = 1, multiplier = 1;
  std::array<Axis, 2> axes;
  PackedMatrix w;
  std::vector<float> x, bias;
  std::string name;
};

DepthwiseCase depthwise_case(const QuantFormat& format, std::int64_t channels, std::int64_t multiplier,
                             const std::array<Axis, 2>& axes, std::uint64_t seed, Fill fill = Fill::random) {
  const std::int64_t batch = 2, n = channels * multiplier;
  DepthwiseCase c{batch, channels, multiplier, axes, {}, {}, {}, {}};
  c.w = random_weights(format, n, axes[0].kernel * axes[1].kernel, seed, fill);
  Random random(seed, /*stream=*/3);
  c.x.resize(std::size_t(batch * channels * axes[0].in * axes[1].in));
  for (float& value : c.x) {
    value = float(random.uniform(-1.0, 1.0));
    if (fill == Fill::lowest || fill == Fill::opposed) value = -1000.0f;
    if (fill == Fill::highest) value = 1000.0f;
    if (fill == Fill::zero) value = 0.0f;
  }
  for (std::int64_t i = 0; i < n; ++i) c.bias.push_back(float(random.uniform(-1.0, 1.0)));
  c.name = fmt::format("{} channels x {}, {} x {}, kernel {} x {}, stride {} {}, dilation {} {}, pads {} {} {} {}, {}",
                       channels, multiplier, axes[0].in, axes[1].in, axes[0].kernel, axes[1].kernel, axes[0].stride,
                       axes[1].stride, axes[0].dilation, axes[1].dilation, axes[0].begin, axes[1].begin, axes[0].end,
                       axes[1].end, to_text(format));
  return c;
}

DepthwiseCall call_of(const DepthwiseCase& c, const RowScaling& scaling, int threads) {
  DepthwiseCall call;
  call.batch = c.batch;
  call.channels = c.channels;
  call.multiplier = c.multiplier;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    call.in[axis] = c.axes[axis].in;
    call.out[axis] = c.axes[axis].out();
    call.kernel[axis] = c.axes[axis].kernel;
    call.stride[axis] = c.axes[axis].stride;
    call.dilation[axis] = c.axes[axis].dilation;
    call.pad[axis] = c.axes[axis].begin;
  }
  call.x = c.x.data();
  call.bias = c.bias.data();
  call.scaling = scaling;
  call.threads = threads;
  return call;
}

std::size_t result_size(const DepthwiseCase& c) {
  return std::size_t(c.batch * c.channels * c.multiplier * c.axes[0].out() * c.axes[1].out());
}

std::vector<float> convolved(const KernelInfo& kernel, const DepthwiseCase& c, const RowScaling& scaling,
                             int threads = 1) {
  DepthwiseCall call = call_of(c, scaling, threads);
  std::vector<float> y(result_size(c), NAN);
  call.y = y.data();
  DepthwiseScratch scratch;
  depthwise(prepare(kernel, c.w), call, scratch);
  return y;
}

std::vector<RowScaling> fixed_scalings(Activations activations) {
  std::vector<RowScaling> all = scalings_for(activations);
  std::erase_if(all, [](const RowScaling& one) { return one.kind == RowScaling::Kind::dynamic_rows; });
  return all;
}

template <class Body>
void for_each_depthwise(const Body& body) {
  for (const KernelInfo& kernel : kernels()) {
    if (kernel.operation != Operation::depthwise) continue;
    if (!includes(host_isa(), kernel.needs)) {
      MESSAGE("not run on this host: ", kernel.name);
      continue;
    }
    for (const char* text : {"f32", "q8c", "q8t", "q8cz", "q4cz", "q3c", "q4g32z", "t4c"}) {
      const QuantFormat format = parse_quant_format(text);
      if (kernel.accepts(format, 9)) body(kernel, format);
    }
  }
}

/// Nothing where the family does not take so large a kernel with this format.
void check_against_reference(const KernelInfo& kernel, const DepthwiseCase& c) {
  if (!kernel.accepts(c.w.format, c.w.k)) return;
  for (const RowScaling& scaling : fixed_scalings(kernel.activations)) {
    INFO(kernel.name, " ", c.name, " zero=", scaling.zero);
    const std::vector<float> got = convolved(kernel, c, scaling), wanted = convolved(reference_of(kernel), c, scaling);
    CHECK(got == wanted);
  }
}

Axis random_axis(Random& random) {
  Axis axis;
  axis.kernel = std::int64_t(1 + random.below(7));
  axis.stride = std::int64_t(1 + random.below(3));
  axis.dilation = std::int64_t(1 + random.below(3));
  axis.begin = std::int64_t(random.below(4));
  axis.end = std::int64_t(random.below(4));
  const std::int64_t least = (axis.kernel - 1) * axis.dilation + 1 - axis.begin - axis.end;
  axis.in = std::max<std::int64_t>(1, least) + std::int64_t(random.below(40));
  return axis;
}

}  // namespace

TEST_CASE("every depthwise kernel agrees bit for bit with its reference on awkward shapes") {
  for_each_depthwise([](const KernelInfo& kernel, const QuantFormat& format) {
    if (kernel.reference) return;
    Random random(/*seed=*/17);
    for (int round = 0; round < 60; ++round) {
      const std::array<Axis, 2> axes = {random_axis(random), random_axis(random)};
      check_against_reference(
          kernel, depthwise_case(format, std::int64_t(1 + random.below(7)), std::int64_t(1 + random.below(3)), axes,
                                 /*seed=*/std::uint64_t(round)));
    }
    for (const std::int64_t channels : {1, 2, 16, 31, 67})
      check_against_reference(kernel,
                              depthwise_case(format, channels, 1, {Axis{5, 3, 1, 1, 1, 1}, Axis{9, 3, 1, 1, 1, 1}}, 5));
  });
}

TEST_CASE("every fast path of depthwise kernels agrees with the reference at every width and padding") {
  for_each_depthwise([](const KernelInfo& kernel, const QuantFormat& format) {
    if (kernel.reference || format.kind == CodeKind::table) return;
    for (std::int64_t width = 1; width <= 70; width += width < 35 ? 1 : 5)
      for (const std::int64_t stride : {1, 2}) {
        const std::int64_t begin = width % 3, end = (width + 1) % 3;
        if (width + begin + end < 3) continue;
        check_against_reference(
            kernel, depthwise_case(format, 1, 1,
                                   {Axis{1 + width % 11, 3, stride, 1, 1, 1}, Axis{width, 3, stride, 1, begin, end}},
                                   std::uint64_t(width)));
        check_against_reference(
            kernel, depthwise_case(format, 2, 1, {Axis{1, 1, 1, 1, 0, 0}, Axis{width + 8, 9, stride, 1, begin, end}},
                                   std::uint64_t(width)));
      }
    // Windows further apart than a register reaches, planes smaller than the kernel, and the largest area.
    for (const std::int64_t stride : {1, 4, 5, 9})
      check_against_reference(
          kernel, depthwise_case(format, 2, 2, {Axis{4, 2, 3, 5, 3, 4}, Axis{90, 4, stride, 6 - stride % 5, 2, 7}}, 3));
    check_against_reference(kernel, depthwise_case(format, 1, 1, {Axis{1, 7, 1, 1, 3, 3}, Axis{2, 5, 1, 1, 2, 2}}, 4));
    check_against_reference(kernel,
                            depthwise_case(format, 1, 1, {Axis{9, 6, 1, 1, 2, 3}, Axis{50, 43, 1, 1, 20, 2}}, 6));
  });
}

TEST_CASE("depthwise kernels are exact at the ends of the ranges") {
  for_each_depthwise([](const KernelInfo& kernel, const QuantFormat& format) {
    if (kernel.reference || format.kind == CodeKind::f32) return;
    for (const Fill fill : {Fill::lowest, Fill::highest, Fill::opposed, Fill::zero, Fill::single}) {
      check_against_reference(kernel,
                              depthwise_case(format, 3, 1, {Axis{7, 3, 1, 1, 1, 1}, Axis{19, 3, 1, 1, 1, 1}}, 7, fill));
      check_against_reference(
          kernel, depthwise_case(format, 1, 1, {Axis{8, 6, 1, 1, 2, 3}, Axis{60, 43, 1, 1, 0, 2}}, 8, fill));
    }
  });
}

TEST_CASE("a depthwise reference agrees with a sum of real values in double") {
  for_each_depthwise([](const KernelInfo& kernel, const QuantFormat& format) {
    if (!kernel.reference) return;
    const DepthwiseCase c = depthwise_case(format, 3, 2, {Axis{6, 3, 2, 1, 1, 0}, Axis{11, 4, 1, 2, 3, 2}}, /*seed=*/9);
    const std::vector<float> w = dequantize(c.w);
    const auto& [tall, wide] = c.axes;
    for (const RowScaling& scaling : fixed_scalings(kernel.activations)) {
      const std::vector<float> y = convolved(kernel, c, scaling);
      const CodeRange range = code_range(scaling);
      std::size_t at = 0;
      for (std::int64_t plane = 0; plane < c.batch * c.channels * c.multiplier; ++plane)
        for (std::int64_t oy = 0; oy < tall.out(); ++oy)
          for (std::int64_t ox = 0; ox < wide.out(); ++ox, ++at) {
            const std::int64_t channel = plane % (c.channels * c.multiplier);
            double sum = double(c.bias[std::size_t(channel)]), magnitudes = std::abs(sum);
            for (std::int64_t ky = 0; ky < tall.kernel; ++ky)
              for (std::int64_t kx = 0; kx < wide.kernel; ++kx) {
                const std::int64_t iy = oy * tall.stride - tall.begin + ky * tall.dilation;
                const std::int64_t ix = ox * wide.stride - wide.begin + kx * wide.dilation;
                if (iy < 0 || iy >= tall.in || ix < 0 || ix >= wide.in) continue;
                double value = c.x[std::size_t((plane / c.multiplier * tall.in + iy) * wide.in + ix)];
                if (scaling.kind != RowScaling::Kind::none)
                  value = double(scaling.scale) *
                          (std::clamp(std::nearbyint(float(value) / scaling.scale) + float(scaling.zero),
                                      float(range.low), float(range.high)) -
                           float(scaling.zero));
                const double term = value * double(w[std::size_t((channel * tall.kernel + ky) * wide.kernel + kx)]);
                sum += term;
                magnitudes += std::abs(term);
              }
            // At most 12 products, the bias and three roundings of scales meet any term.
            CHECK(std::abs(double(y[at]) - sum) <= 17 * 0x1p-24 * magnitudes);
          }
    }
  });
}

TEST_CASE(
    "depthwise results do not depend on threads, neighbours, alignment, and samples may have scales of their own") {
  for_each_depthwise([](const KernelInfo& kernel, const QuantFormat& format) {
    DepthwiseCase c = depthwise_case(format, 5, 2, {Axis{40, 3, 1, 1, 1, 1}, Axis{61, 3, 1, 1, 0, 1}}, /*seed=*/12);
    INFO(kernel.name, " ", c.name);
    const RowScaling scaling = fixed_scalings(kernel.activations).back();
    const std::vector<float> y = convolved(kernel, c, scaling);
    for (const int threads : {2, 3, 16}) CHECK(convolved(kernel, c, scaling, threads) == y);

    std::vector<float> x(c.x.size() + 1), shifted(y.size() + 3, -7.0f), no_bias(y.size());
    std::copy(c.x.begin(), c.x.end(), x.begin() + 1);
    const std::vector<float> scales = {scaling.scale, 2 * scaling.scale};
    DepthwiseCall call = call_of(c, scaling, 1);
    call.x = x.data() + 1;
    call.y = shifted.data() + 1;
    DepthwiseScratch scratch;
    const PreparedMatrix w = prepare(kernel, c.w);
    depthwise(w, call, scratch);
    CHECK(std::equal(y.begin(), y.end(), shifted.begin() + 1));
    CHECK(shifted.front() == -7.0f);
    CHECK(shifted[y.size() + 1] == -7.0f);

    call.bias = nullptr;
    call.y = no_bias.data();
    depthwise(w, call, scratch);
    std::fill(c.bias.begin(), c.bias.end(), 0.0f);
    CHECK(no_bias == convolved(kernel, c, scaling));
    if (kernel.activations != Activations::s8) return;
    call.sample_scale = scales.data();
    depthwise(w, call, scratch);
    RowScaling second = scaling;
    second.scale = scales[1];
    const std::vector<float> other = convolved(kernel, c, second);
    CHECK(std::equal(no_bias.begin() + std::ssize(y) / 2, no_bias.end(), other.begin() + std::ssize(y) / 2));
  });
}

TEST_CASE("depthwise kernels are chosen for depthwise layers only") {
  const auto chosen = [](std::string_view choice, Activations activations, std::string_view format, std::int64_t k,
                         Isa isa) {
    const KernelInfo* kernel =
        choose_kernel(choice, activations, parse_quant_format(format), k, 100, isa, Operation::depthwise);
    return kernel ? kernel->name : std::string_view("none");
  };
  CHECK(chosen("best", Activations::f32, "q4g32", 9, Isa::none) == "depthwise_f32_f32_ref");
  CHECK(chosen("best", Activations::s8, "q4g32", 9, Isa::none) == "depthwise_s8_q8_ref");
  CHECK(chosen("best", Activations::s8, "q4g16", 25, Isa::none) == "none");
  CHECK(chosen("best", Activations::s8, "q8c", 259, Isa::none) == "none");
  CHECK(chosen("gemm_s8_q8_ref", Activations::s8, "q8c", 9, isa_cap("best")) == "depthwise_s8_q8_ref");
#if defined(__x86_64__)
  CHECK(chosen("best", Activations::s8, "q8c", 9, isa_cap("avx512")) == "depthwise_s8_q8_avx2");
  CHECK(chosen("best", Activations::s8, "q8c", 9, isa_cap("best")) == "depthwise_s8_q8_avx512vnni");
  CHECK(chosen("reference", Activations::f32, "f32", 9, isa_cap("best")) == "depthwise_f32_f32_ref");
#endif
}

}  // namespace qb
