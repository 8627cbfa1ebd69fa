#include "models/window.h"

#include <fmt/format.h>

#include <algorithm>

namespace qb {

namespace {

/// One value per spatial axis from an attribute; the axes are the last of the two.
std::vector<std::int64_t> per_axis(const OpSite& site, std::string_view key, std::size_t count, std::int64_t otherwise,
                                   std::int64_t least) {
  const std::vector<std::int64_t> values = site.node->integers_or(key, std::vector<std::int64_t>(count, otherwise));
  constexpr std::int64_t kMost = std::int64_t(1) << 20;
  if (values.size() != count)
    site.fail(fmt::format("attribute '{}' must have {} values, not {}", key, count, values.size()));
  for (const std::int64_t value : values)
    if (value < least || value > kMost) site.fail(fmt::format("attribute '{}' has the value {}", key, value));
  return values;
}

/// Source: ONNX, Conv and MaxPool: SAME_* gives ceil(in / stride) results and splits the padding, the odd one where
/// named.
void pad_to_same(Window& window, std::size_t axis, bool upper) {
  const std::int64_t reach_of = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
  const std::int64_t results = (window.in[axis] + window.stride[axis] - 1) / window.stride[axis];
  const std::int64_t total =
      std::max<std::int64_t>(0, (results - 1) * window.stride[axis] + reach_of - window.in[axis]);
  window.begin[axis] = upper ? total / 2 : total - total / 2;
  window.end[axis] = total - window.begin[axis];
}

/// With rounding up, a last window that would begin in the padding behind the input is dropped.
std::int64_t results_along(const Window& window, std::size_t axis, bool round_up) {
  const std::int64_t reach_of = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
  const std::int64_t room = window.in[axis] + window.begin[axis] + window.end[axis] - reach_of;
  if (room < 0) return 0;
  std::int64_t results = room / window.stride[axis] + 1;
  if (round_up && room % window.stride[axis] != 0 &&
      results * window.stride[axis] < window.in[axis] + window.begin[axis])
    ++results;
  return results;
}

}  // namespace

Window plan_window(const OpSite& site, const std::vector<std::int64_t>& kernel, bool may_round_up) {
  const Shape& x = site.shape(0);
  if (x.size() != 3 && x.size() != 4)
    site.fail(fmt::format("input 0 has the shape {}; [N, C, W] and [N, C, H, W] are supported", to_text(x)));
  const std::size_t count = x.size() - 2, lead = Window::kAxes - count;
  if (kernel.size() != count) site.fail(fmt::format("the kernel must have {} extents, not {}", count, kernel.size()));
  const auto strides = per_axis(site, "strides", count, 1, 1), dilations = per_axis(site, "dilations", count, 1, 1);
  const auto pads = per_axis(site, "pads", 2 * count, 0, 0);
  const std::string automatic = site.node->text_or("auto_pad", "NOTSET");
  const bool same = automatic == "SAME_UPPER" || automatic == "SAME_LOWER";
  if (!same && automatic != "NOTSET" && automatic != "VALID")
    site.fail(fmt::format("auto_pad '{}' is not known; NOTSET, VALID, SAME_UPPER and SAME_LOWER are", automatic));
  const bool round_up = may_round_up && site.node->integer_or("ceil_mode", 0) != 0;

  Window window;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t axis = lead + i;
    if (kernel[i] < 1 || kernel[i] > (std::int64_t(1) << 20))
      site.fail(fmt::format("the kernel extent {} is not possible", kernel[i]));
    window.in[axis] = x[2 + i];
    window.kernel[axis] = kernel[i];
    window.stride[axis] = strides[i];
    window.dilation[axis] = dilations[i];
    if (automatic == "NOTSET") {
      window.begin[axis] = pads[i];
      window.end[axis] = pads[count + i];
    }
    if (same) pad_to_same(window, axis, automatic == "SAME_UPPER");
    window.out[axis] = results_along(window, axis, round_up);
    if (window.out[axis] < 1)
      site.fail(fmt::format("a kernel of {} with dilation {} does not fit into {} padded elements", kernel[i],
                            dilations[i], window.in[axis] + window.begin[axis] + window.end[axis]));
  }
  return window;
}

Shape window_result(const OpSite& site, const Window& window, std::int64_t channels) {
  Shape shape = {site.shape(0)[0], channels};
  if (site.shape(0).size() == 4) shape.push_back(window.out[0]);
  shape.push_back(window.out[1]);
  return shape;
}

ConvShape plan_conv_shape(const OpSite& site, std::int64_t out_channels, std::vector<std::int64_t> kernel) {
  const std::vector<std::int64_t> told = site.node->integers_or("kernel_shape", kernel);
  if (kernel.empty()) kernel = told;
  if (kernel.empty()) site.fail("attribute 'kernel_shape' is missing and the weights are packed");
  if (told != kernel)
    site.fail(fmt::format("attribute 'kernel_shape' is {} but the weights are {}", to_text(told), to_text(kernel)));
  ConvShape conv;
  conv.window = plan_window(site, kernel, false);
  conv.batch = site.shape(0)[0];
  conv.in_channels = site.shape(0)[1];
  conv.out_channels = out_channels;
  conv.groups = site.node->integer_or("group", 1);
  if (conv.groups < 1 || conv.in_channels % conv.groups != 0 || out_channels % conv.groups != 0)
    site.fail(fmt::format("{} groups do not divide {} input and {} output channels", conv.groups, conv.in_channels,
                          out_channels));
  return conv;
}

}  // namespace qb
