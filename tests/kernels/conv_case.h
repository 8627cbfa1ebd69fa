// Convolutions chosen to hurt.
#pragma once
#include <vector>

#include "kernels/convolution/convolution.h"
#include "kernels/convolution/weight_order.h"
#include "tests/kernels/gemm_case.h"

namespace qb {

/// `given` without its results' extents, which follow.
inline ConvShape conv_shape(std::int64_t batch, std::int64_t channels, std::int64_t results, std::int64_t groups,
                            const Window& given) {
  ConvShape shape{.window = given, .batch = batch, .in_channels = channels, .out_channels = results, .groups = groups};
  for (std::size_t axis = 0; axis < Window::kAxes; ++axis) {
    Window& window = shape.window;
    const std::int64_t extent = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
    window.out[axis] = (window.in[axis] + window.begin[axis] + window.end[axis] - extent) / window.stride[axis] + 1;
  }
  return shape;
}

/// A convolution of codes by one kernel, with rows of windows or in place.
struct CodesCase {
  ConvShape shape;
  const char* format = "q8c";
  bool per_sample = false;
};

inline std::vector<CodesCase> codes_cases() {
  return {
      {conv_shape(1, 8, 70, 1, {{9, 17}, {}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}})},
      {conv_shape(3, 4, 64, 1, {{7, 7}, {}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}), "q8cz"},
      {conv_shape(2, 12, 33, 1, {{8, 6}, {}, {5, 5}, {1, 1}, {1, 1}, {2, 2}, {2, 2}}), "q4cz", true},
      {conv_shape(2, 20, 129, 1, {{11, 13}, {}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {0, 1}}), "q8t"},
      {conv_shape(1, 68, 16, 1, {{6, 9}, {}, {3, 2}, {1, 3}, {2, 2}, {2, 1}, {2, 0}})},
      {conv_shape(2, 16, 96, 2, {{5, 8}, {}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}})},
      {conv_shape(1, 4, 5, 1, {{1, 40}, {}, {1, 9}, {1, 1}, {1, 1}, {0, 4}, {0, 4}})},
      {conv_shape(1, 4, 48, 1, {{3, 1}, {}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}})},
      {conv_shape(1, 8, 17, 1, {{2, 2}, {}, {5, 5}, {1, 1}, {1, 1}, {4, 4}, {4, 4}})},
      {conv_shape(4, 64, 64, 1, {{4, 4}, {}, {1, 1}, {2, 2}, {1, 1}, {0, 0}, {0, 0}})},
      {conv_shape(1, 6, 21, 1, {{5, 9}, {}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}})},
  };
}

/// The same run by both ways.
struct CodesWays {
  CodesCase wanted;
  const KernelInfo& kernel;
  std::vector<PreparedMatrix> weights;
  std::vector<float> x, bias;

  CodesWays(const CodesCase& one, const KernelInfo& with) : wanted(one), kernel(with) {
    const ConvShape& shape = wanted.shape;
    const std::int64_t channels = shape.in_channels / shape.groups, results = shape.out_channels / shape.groups;
    for (std::int64_t g = 0; g < shape.groups; ++g) {
      const PackedMatrix w =
          random_weights(parse_quant_format(wanted.format), results, shape.k(), /*seed=*/std::uint64_t(g + 1));
      weights.push_back(prepare(kernel, reorders_weights(plan(1, false)) ? channels_last(w, channels) : w));
    }
    Random random(5);
    x.resize(std::size_t(shape.batch * shape.in_channels * shape.window.in[0] * shape.window.in[1]));
    for (float& value : x) value = float(random.uniform(-1, 1));
    bias.resize(std::size_t(shape.out_channels));
    for (float& value : bias) value = float(random.uniform(-1, 1));
  }

  ConvPlan plan(int threads, bool in_place) const {
    ConvPlan made;
    made.shape = wanted.shape;
    made.per_sample = wanted.per_sample;
    plan_products(made, kernel, /*order_is_free=*/true, threads);
    if (in_place) read_windows_in_place(made, weights);
    return made;
  }

  std::vector<float> run(ConvPlan made, int threads, const ConvObserver& observer = {}) const {
    const ConvShape& shape = wanted.shape;
    std::vector<float> y(std::size_t(shape.batch * shape.out_channels * shape.window.positions()), -7.0f);
    LayerWorkspaces workspaces;
    workspaces.threads.resize(std::size_t(threads));
    reserve_workspaces(made, workspaces);
    const RowScaling scaling{RowScaling::Kind::fixed, 8, 0x1p-7f, wanted.per_sample ? 0 : 37};
    run_conv({made, weights, scaling, x.data(), bias.data(), y.data(), threads, observer}, workspaces);
    return y;
  }
};

}  // namespace qb
