// Convolutions of float32 and bf16: windows that are read in place and windows that are copied, against the reference
// of their family on rows that the definition gives.
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

#include "kernels/base/cpu.h"
#include "kernels/convolution/convolution.h"
#include "kernels/convolution/weight_order.h"
#include "tests/kernels/conv_case.h"
#include "tests/kernels/gemm_case.h"

namespace qb {

namespace {

std::vector<ConvShape> shapes() {
  return {
      conv_shape(1, 8, 70, 1, {{9, 17}, {}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}),
      conv_shape(3, 4, 64, 1, {{7, 7}, {}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}),
      conv_shape(2, 12, 33, 1, {{8, 6}, {}, {5, 5}, {1, 1}, {1, 1}, {2, 2}, {2, 2}}),
      conv_shape(2, 20, 129, 1, {{11, 13}, {}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {0, 1}}),
      conv_shape(1, 34, 16, 1, {{6, 9}, {}, {3, 2}, {1, 3}, {2, 2}, {2, 1}, {2, 0}}),
      conv_shape(2, 16, 96, 2, {{5, 8}, {}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}),
      conv_shape(1, 6, 12, 3, {{4, 23}, {}, {2, 4}, {1, 2}, {1, 3}, {0, 5}, {1, 2}}),
      conv_shape(1, 4, 5, 1, {{1, 40}, {}, {1, 9}, {1, 1}, {1, 1}, {0, 4}, {0, 4}}),
      conv_shape(1, 4, 48, 1, {{3, 1}, {}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}),
      conv_shape(1, 8, 17, 1, {{2, 2}, {}, {5, 5}, {1, 1}, {1, 1}, {4, 4}, {4, 4}}),
      conv_shape(4, 64, 64, 1, {{4, 4}, {}, {1, 1}, {2, 2}, {1, 1}, {0, 0}, {0, 0}}),
      conv_shape(2, 18, 40, 1, {{5, 7}, {}, {1, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}}),
      conv_shape(2, 3, 24, 1, {{15, 14}, {}, {7, 7}, {2, 2}, {1, 1}, {3, 3}, {2, 2}}),
      conv_shape(1, 1, 9, 1, {{10, 28}, {}, {5, 5}, {1, 1}, {1, 1}, {2, 2}, {2, 2}}),
      conv_shape(1, 1500, 81, 1, {{3, 4}, {}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}),
      conv_shape(1, 2, 3, 1, {{3, 3}, {}, {3, 3}, {1, 1}, {1, 1}, {9, 9}, {9, 9}}),
  };
}

/// A convolution by one kernel, from and to pointers that are aligned to floats only, and its rows by the definition.
struct FloatCase {
  const KernelInfo& kernel;
  ConvShape shape;
  std::vector<PackedMatrix> weights;  ///< by group, C, H, W order
  std::vector<float> x, bias;         ///< from element 1 on; 3 elements behind x may be read

  FloatCase(const KernelInfo& with, const char* format, const ConvShape& given) : kernel(with), shape(given) {
    for (std::int64_t g = 0; g < shape.groups; ++g)
      weights.push_back(random_weights(parse_quant_format(format), shape.out_channels / shape.groups, shape.k(),
                                       /*seed=*/std::uint64_t(g + 1)));
    Random random(5);
    x.resize(std::size_t(1 + shape.batch * shape.in_channels * shape.window.in[0] * shape.window.in[1] + 3));
    for (float& value : x) value = float(random.uniform(-1, 1));
    bias.resize(std::size_t(1 + shape.out_channels));
    for (float& value : bias) value = float(random.uniform(-1, 1));
  }

  ConvPlan plan(int threads, bool in_place) const {
    ConvPlan made;
    made.shape = shape;
    plan_products(made, kernel, in_place && order_is_free(weights[0].format, shape.k()), threads);
    return made;
  }

  std::vector<float> run(ConvPlan made, int threads, const ConvObserver& observer = {}) const {
    std::vector<PreparedMatrix> prepared;
    for (const PackedMatrix& w : weights)
      prepared.push_back(
          prepare(kernel, reorders_weights(made) ? channels_last(w, shape.in_channels / shape.groups) : w));
    read_windows_in_place(made, prepared);
    std::vector<float> y(std::size_t(1 + shape.batch * shape.out_channels * shape.window.positions()), -7.0f);
    LayerWorkspaces workspaces;
    workspaces.threads.resize(std::size_t(threads));
    reserve_workspaces(made, workspaces);
    run_conv({made, prepared, {}, x.data() + 1, bias.data() + 1, y.data() + 1, threads, observer}, workspaces);
    CHECK(y[0] == -7.0f);
    return {y.begin() + 1, y.end()};
  }

  float input(std::int64_t sample, std::int64_t channel, std::int64_t iy, std::int64_t ix) const {
    const Window& window = shape.window;
    if (iy < 0 || iy >= window.in[0] || ix < 0 || ix >= window.in[1]) return 0.0f;
    return x[std::size_t(1 + ((sample * shape.in_channels + channel) * window.in[0] + iy) * window.in[1] + ix)];
  }

  /// The product of one sample and group: rows of windows.
  GemmCase product_of(std::int64_t sample, std::int64_t g) const {
    const Window& window = shape.window;
    const std::int64_t channels = shape.in_channels / shape.groups;
    GemmCase made{window.positions(), weights[std::size_t(g)], {}};
    for (std::int64_t position = 0; position < window.positions(); ++position)
      for (std::int64_t t = 0; t < shape.k(); ++t) {
        const std::int64_t ky = t % window.area() / window.kernel[1], kx = t % window.kernel[1];
        made.a.push_back(
            input(sample, g * channels + t / window.area(),
                  position / window.out[1] * window.stride[0] - window.begin[0] + ky * window.dilation[0],
                  position % window.out[1] * window.stride[1] - window.begin[1] + kx * window.dilation[1]));
      }
    return made;
  }

  /// The results of one sample and group as rows, without their bias.
  std::vector<float> results_of(const std::vector<float>& y, std::int64_t sample, std::int64_t g) const {
    const std::int64_t n = shape.out_channels / shape.groups, positions = shape.window.positions();
    std::vector<float> rows;
    for (std::int64_t position = 0; position < positions; ++position)
      for (std::int64_t j = 0; j < n; ++j)
        rows.push_back(y[std::size_t((sample * shape.out_channels + g * n + j) * positions + position)]);
    return rows;
  }

  /// Empty where y agrees with the reference. Adding the bias, at most 1, rounds once more: where a result is at most
  /// 1 + sum |a w| by 2^-24 of that, which is allowed for as one more product of 1.
  std::string disagreement_of(const std::vector<float>& y) const {
    for (std::int64_t sample = 0; sample < shape.batch; ++sample)
      for (std::int64_t g = 0; g < shape.groups; ++g) {
        const GemmCase c = product_of(sample, g);
        const std::vector<float> wanted = product(reference_of(kernel), c, {}), got = results_of(y, sample, g);
        const std::vector<double> sums = sums_of_magnitudes(c);
        const double bound = rounding_bound(kernel, c.w) + 0x1p-23;
        for (std::size_t at = 0; at < got.size(); ++at) {
          const double shift = bias[std::size_t(1 + g * c.w.n + std::int64_t(at) % c.w.n)];
          const double difference = std::abs(double(got[at]) - (double(wanted[at]) + shift));
          if (!(difference <= bound * sums[at] + 0x1p-23))
            return "result " + std::to_string(at) + " of sample " + std::to_string(sample) + ", group " +
                   std::to_string(g) + ": " + std::to_string(got[at]);
        }
      }
    return {};
  }
};

/// Kernels that read windows in place, with a format of float weights and one of codes.
template <class Body>
void for_each_kernel(Body body) {
  for (const KernelInfo& kernel : kernels()) {
    const bool family = kernel.family == "gemm_f32_f32" || kernel.family == "gemm_bf16_bf16";
    if (!family || kernel.reference || kernel.peer || kernel.by_name_only) continue;
    if (!includes(host_isa(), kernel.needs)) {
      MESSAGE("not run on this host: ", kernel.name);
      continue;
    }
    body(kernel);
  }
}

bool is_in_place(const FloatCase& c) { return c.plan(1, true).path == ConvPath::float_pixels; }

}  // namespace

TEST_CASE("convolutions of floats agree with the reference, in place and copied, with the same bits on all threads") {
  for_each_kernel([](const KernelInfo& kernel) {
    for (const char* format : {"f32", "bf16", "q4c"})
      for (const ConvShape& shape : shapes()) {
        if (std::string(format) == "q4c" && shape.in_channels > 100) continue;
        const FloatCase c(kernel, format, shape);
        INFO(kernel.name, " ", std::string(format), ": ", shape.window.in[0], " x ", shape.window.in[1], ", ",
             shape.in_channels, " channels");
        const bool pairs = kernel.activations == Activations::bf16;
        CHECK(is_in_place(c) == (!shape.window.is_pointwise() && !(pairs && shape.in_channels / shape.groups % 2)));
        if (shape.window.area() > 1 && shape.in_channels > shape.groups)
          CHECK((c.plan(1, false).path == ConvPath::float_rows));
        for (const bool in_place : {true, false}) {
          const std::vector<float> y = c.run(c.plan(1, in_place), 1);
          CHECK(c.disagreement_of(y) == "");
          for (const int threads : {2, 3}) CHECK(c.run(c.plan(threads, in_place), threads) == y);
        }
      }
  });
}

TEST_CASE("infinite weights meet the zeros of the padding as the definition says") {
  const ConvShape shape = conv_shape(1, 4, 20, 1, {{5, 9}, {}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}});
  for_each_kernel([&](const KernelInfo& kernel) {
    for (const float special : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
      FloatCase c(kernel, "f32", shape);
      std::vector<float> values = dequantize(c.weights[0]);
      values[3 * 36 + 0] = special;  // channel 0 of result 3, upper left
      c.weights[0] = pack_f32({values.data(), 20, 36, 36});
      const std::vector<float> y = c.results_of(c.run(c.plan(1, true), 1), 0, 0),
                               wanted = product(reference_of(kernel), c.product_of(0, 0), {});
      INFO(kernel.name);
      REQUIRE(is_in_place(c));
      CHECK(std::isnan(wanted[3]));  // the first window's upper left is padding
      for (std::size_t i = 0; i < y.size(); ++i) {
        CHECK(std::isnan(y[i]) == std::isnan(wanted[i]));
        CHECK(std::isfinite(y[i]) == std::isfinite(wanted[i]));
      }
    }
  });
}

TEST_CASE("observers of float windows that are read in place see rows whose product is what was written") {
  for_each_kernel([](const KernelInfo& kernel) {
    for (const ConvShape& shape : shapes()) {
      const FloatCase c(kernel, "bf16", shape);
      if (!is_in_place(c) || shape.in_channels > 100) continue;
      std::int64_t seen = 0;
      ConvObserver observer;
      observer.product = [&](std::int64_t begin, std::int64_t count, const PreparedMatrix& prepared,
                             const GemmCall& call) {
        GemmCase again{call.m, c.weights[std::size_t(begin / count)], {}};
        for (std::int64_t i = 0; i < call.m; ++i)
          again.a.insert(again.a.end(), call.a + i * call.a_stride, call.a + i * call.a_stride + prepared.k);
        const std::vector<float> wanted = product(reference_of(kernel), again, {});
        const std::vector<double> sums = sums_of_magnitudes(again);
        const double bound = rounding_bound(kernel, again.w);
        for (std::int64_t at = 0; at < std::ssize(wanted); ++at) {
          const double got = call.y[at / count * call.y_stride + at % count];
          REQUIRE(std::abs(got - double(wanted[std::size_t(at)])) <= bound * sums[std::size_t(at)]);
        }
        seen += call.m * count;
      };
      c.run(c.plan(2, true), 2, observer);
      CHECK(seen == shape.batch * shape.out_channels * shape.window.positions());
    }
  });
}

}  // namespace qb
