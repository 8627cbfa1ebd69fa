#include "kernels/convolution/in_place.h"

#include <algorithm>
#include <cstring>

#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "kernels/convolution/code_images.h"
#include "kernels/convolution/patches.h"
#include "kernels/convolution/variants.h"
#include "kernels/gemm_f32_w/weight_panels.h"
#include "kernels/gemm_s8_q8/gemm_s8_q8.h"
#include "kernels/panels.h"

namespace qb {

namespace {

constexpr std::int64_t kCodePanel = 64;                      ///< columns of gemm_s8_q8_avx512vnni
constexpr std::int64_t kUnitBytes = std::int64_t(64) << 10;  ///< results that wait to become planes

std::int64_t group_channels(const ConvShape& shape) { return shape.in_channels / shape.groups; }

/// Sums over the channels of each position of the kernel of the codes in the panels of gemm_s8_q8_avx512vnni.
void sum_positions(const PreparedMatrix& weights, std::int64_t channels, std::int64_t area, std::int64_t stride,
                   std::int32_t* sums) {
  const auto* codes = weights.bytes.as<std::uint8_t>() + weights.bytes.as<S8Q8>()->codes;
  for (std::int64_t j = 0; j < weights.n; ++j) {
    const std::int64_t first = j / kCodePanel * kCodePanel,
                       width = std::min(kCodePanel, round_up(weights.n - first, 16));
    const std::uint8_t* column = codes + first * weights.k + (j - first) * 4;
    for (std::int64_t p = 0; p < area; ++p)
      for (std::int64_t t = p * channels; t < (p + 1) * channels; ++t)
        sums[p * stride + j] += column[t / 4 * width * 4 + t % 4];
  }
}

/// True where weights that were prepared for `plan` hold no infinity and no NaN.
bool are_finite(const ConvPlan& plan, const PreparedMatrix& weights) {
  const auto all = [&](auto* from, std::int64_t begin, auto exponent) {
    const auto* end = from + weights.bytes.size() / sizeof *from;
    return std::all_of(from + begin, end, [&](auto bits) { return (bits & exponent) != exponent; });
  };
  if (plan.float_windows.pixels == PixelKind::f32)
    return all(weights.bytes.as<std::uint32_t>(), 0, std::uint32_t{0x7f800000});
  return all(weights.bytes.as<std::uint16_t>(), weights.bytes.as<WeightPanels>()->stream / 2, std::uint16_t{0x7f80});
}

/// How the results of the samples are divided: rows counted over all samples, columns of one group's product.
struct Units {
  std::int64_t rows = 0, row_parts = 1, columns = 0, column_parts = 1, column_step = 1;

  std::int64_t count() const { return row_parts * column_parts; }
  std::int64_t first_row(std::int64_t part) const { return rows * part / row_parts; }
  std::int64_t first_column(std::int64_t part) const {
    const std::int64_t panels = (columns + column_step - 1) / column_step;
    return std::min(columns, panels * part / column_parts * column_step);
  }
};

/// Rows of results of so many columns that a unit may have.
std::int64_t most_rows(const ConvShape& shape, std::int64_t columns) {
  return std::max<std::int64_t>(1, kUnitBytes / (4 * shape.window.out[1] * columns));
}

/// Whole rows of results and whole panels of columns. Threads take rows where these can be shared evenly, else columns
/// where those can: threads that write columns of the same rows fetch one another's lines.
Units units_of(const ConvPlan& plan, std::int64_t samples, int threads) {
  const ConvShape& shape = plan.shape;
  const std::int64_t step = plan.column_step;
  Units units;
  units.column_step = step;
  units.rows = samples * shape.window.out[0];
  units.columns = shape.out_channels / shape.groups;
  const std::int64_t panels = (units.columns + step - 1) / step;
  const bool even_rows = units.rows % threads == 0 || units.rows >= 20 * threads;
  if (!even_rows && panels % threads == 0) units.column_parts = threads;
  const std::int64_t columns = round_up((units.columns + units.column_parts - 1) / units.column_parts, step);
  const std::int64_t most = most_rows(shape, columns), together = units.column_parts == threads ? 1 : threads;
  units.row_parts = std::min(units.rows, round_up((units.rows + most - 1) / most, together));
  return units;
}

/// Rows of pixels that windows of the result's rows see.
std::int64_t pixel_rows(const Window& window, std::int64_t rows) {
  return (rows - 1) * window.stride[0] + (window.kernel[0] - 1) * window.dilation[0] + 1;
}

/// sums[i * out width + ox] = sum over the window of its pixels' sums, for `rows` rows of the result; `pixels` belong
/// to the first pixel of the first.
void sum_windows(const ConvPlan& plan, const std::int32_t* pixels, std::int64_t rows, std::int32_t* sums) {
  const Window& window = plan.shape.window;
  const std::int64_t width = window.out[1], step = window.stride[1];
  for (std::int64_t i = 0; i < rows; ++i, sums += width) {
    std::fill_n(sums, width, 0);
    for (std::int64_t ky = 0; ky < window.kernel[0]; ++ky) {
      const std::int32_t* row = pixels + (i * window.stride[0] + ky * window.dilation[0]) * plan.image.columns;
      for (std::int64_t kx = 0; kx < window.kernel[1]; ++kx, row += window.dilation[1])
        for (std::int64_t ox = 0; ox < width; ++ox) sums[ox] += row[ox * step];
    }
  }
}

struct Task {
  const ConvRun& run;
  const ImagesOfRun& samples;
  LayerWorkspaces& workspaces;
  Units units;

  const ConvPlan& plan() const { return run.plan; }
};

/// Rows [begin, end) of the result of one sample and group by columns [n_begin, n_end).
struct Piece {
  std::int64_t sample, g, begin, end, n_begin, n_end;
};

/// The sums of the activations in the windows of a piece.
const std::int32_t* window_sums(const Task& task, const Piece& piece, const std::int8_t* image,
                                TileWorkspace& workspace) {
  const ConvPlan& plan = task.plan();
  const std::int64_t rows = piece.end - piece.begin, columns = plan.image.columns;
  auto* pixels = workspace.pixel_sums.as<std::int32_t>();
  auto* sums = workspace.window_sums.as<std::int32_t>();
  plan.in_place.pixel_sums(image + piece.begin * plan.shape.window.stride[0] * columns * plan.image.pixel_stride,
                           pixel_rows(plan.shape.window, rows) * columns, group_channels(plan.shape),
                           task.run.scaling.zero, pixels);
  sum_windows(plan, pixels, rows, sums);
  return sums;
}

/// Where a piece's results go.
struct Results {
  float* y;
  std::int64_t stride;
};

/// What the products of codes and of floats are told alike.
template <class Args>
Args args_of(const Task& task, const Piece& piece, const Results& results) {
  const ConvPlan& plan = task.plan();
  const Window& window = plan.shape.window;
  Args args{};
  args.channels = group_channels(plan.shape);
  args.columns = plan.image.columns;
  for (std::size_t axis = 0; axis < Window::kAxes; ++axis) {
    args.inside_begin[axis] = window.begin[axis];
    args.inside_end[axis] = window.begin[axis] + window.in[axis];
    args.kernel[axis] = window.kernel[axis];
    args.stride[axis] = window.stride[axis];
    args.dilation[axis] = window.dilation[axis];
  }
  args.row_begin = piece.begin;
  args.row_end = piece.end;
  args.row_length = window.out[1];
  args.w = task.run.weights[std::size_t(piece.g)].bytes.data();
  args.n_begin = piece.n_begin;
  args.n_end = piece.n_end;
  args.y = results.y;
  args.y_stride = results.stride;
  return args;
}

/// The image that a piece's windows lie in.
const std::byte* image_of(const Task& task, const Piece& piece) {
  const std::int64_t image = piece.g * task.samples.count + piece.sample;
  return task.workspaces.images.as<std::byte>() + image * task.plan().image.bytes();
}

/// Shows the observer the product that a piece is, with the rows that its operands stand for.
void show(const Task& task, const Piece& piece, const Results& results, GemmCall call) {
  const ConvShape& shape = task.plan().shape;
  const std::int64_t outputs = shape.out_channels / shape.groups;
  call.m = (piece.end - piece.begin) * shape.window.out[1];
  call.y = results.y;
  call.y_stride = results.stride;
  task.run.observer.product(piece.g * outputs, outputs, task.run.weights[std::size_t(piece.g)], call);
}

/// The pixels that the rows of `args` see become int16; rows are counted from the first of them.
void read_widened(const ConvPlan& plan, WindowProductsArgs& args, TileWorkspace& workspace) {
  const std::int64_t rows = args.row_end - args.row_begin, row = args.columns * args.channels;
  const std::int8_t* from = args.image + args.row_begin * args.stride[0] * row;
  auto* wide = workspace.patches.as<std::int16_t>();
  const std::int64_t count = pixel_rows(plan.shape.window, rows) * row;
  for (std::int64_t i = 0; i < count; ++i) wide[i] = from[i];
  args.image = reinterpret_cast<const std::int8_t*>(wide);
  args.row_begin = 0;
  args.row_end = rows;
}

/// Products of codes. Rows for the observer are gathered from the image.
void multiply_codes(const Task& task, const Piece& piece, const Results& results, TileWorkspace& workspace) {
  const ConvPlan& plan = task.plan();
  const Window& window = plan.shape.window;
  auto args = args_of<WindowProductsArgs>(task, piece, results);
  args.image = reinterpret_cast<const std::int8_t*>(image_of(task, piece));
  args.window_sum = window_sums(task, piece, args.image, workspace);
  args.sum_stride = plan.in_place.sum_stride;
  args.position_sum = plan.in_place.position_sums.data() + piece.g * window.area() * args.sum_stride;
  args.a_scale =
      plan.per_sample ? plan.sample_scale[std::size_t(task.samples.first + piece.sample)] : task.run.scaling.scale;
  args.a_zero = task.run.scaling.zero;
  const std::int8_t* const codes = args.image;
  if (plan.in_place.reads_wide_pixels) read_widened(plan, args, workspace);
  plan.in_place.products(args);
  if (!task.run.observer.product) return;
  const std::int64_t k = plan.shape.k(), stride = round_up(k, 64) + 64, width = args.row_length;
  std::vector<std::int8_t> rows(std::size_t((piece.end - piece.begin) * width * stride));
  gather_windows(plan, codes, piece.begin * width, piece.end * width, std::int8_t(args.a_zero),
                 task.run.weights[0].kernel->needs, rows.data(), stride);
  GemmCall call;
  call.scaling = task.run.scaling;
  call.scaling.scale = args.a_scale;
  call.codes = rows.data();
  call.a_stride = stride;
  show(task, piece, results, call);
}

/// Products of float32 or bf16. Rows for the observer are copied from the planes, so that the image is proven too.
void multiply_floats(const Task& task, const Piece& piece, const Results& results) {
  const ConvPlan& plan = task.plan();
  auto args = args_of<FloatWindowsArgs>(task, piece, results);
  args.image = image_of(task, piece);
  args.n = task.run.weights[std::size_t(piece.g)].n;
  if (!plan.float_windows.leaves_padding_out) {
    args.inside_begin[0] = args.inside_begin[1] = 0;
    args.inside_end[0] = plan.image.rows;
    args.inside_end[1] = plan.image.columns;
  }
  plan.float_windows.products(args);
  if (!task.run.observer.product) return;
  const ConvShape& shape = plan.shape;
  const Window& window = shape.window;
  const std::int64_t first = piece.begin * window.out[1], last = piece.end * window.out[1],
                     stride = patch_stride(shape.k()), channels = group_channels(shape),
                     plane = (task.samples.first + piece.sample) * shape.in_channels + piece.g * channels;
  std::vector<float> rows(std::size_t((last - first) * stride));
  copy_patches(window, channels, task.run.x + plane * window.in[0] * window.in[1], first, last, rows.data(), stride);
  GemmCall call;
  call.a = rows.data();
  call.a_stride = stride;
  show(task, piece, results, call);
}

void run_piece(const Task& task, const Piece& piece, TileWorkspace& workspace) {
  const ConvPlan& plan = task.plan();
  const ConvShape& shape = plan.shape;
  const std::int64_t outputs = shape.out_channels / shape.groups, width = shape.window.out[1];
  const std::int64_t positions = shape.window.positions(), columns = piece.n_end - piece.n_begin;
  const std::int64_t channel = piece.g * outputs + piece.n_begin, at = piece.begin * width;
  const std::int64_t sample = task.samples.first + piece.sample;
  const bool pixels = task.samples.to_pixels;
  Results results{workspace.results.as<float>(), columns};
  if (pixels) results = {task.run.y + (sample * positions + at) * shape.out_channels + channel, shape.out_channels};
  if (plan.path == ConvPath::float_pixels)
    multiply_floats(task, piece, results);
  else
    multiply_codes(task, piece, results, workspace);
  if (pixels) return;
  add_transposed(task.run.weights[0].kernel->needs)(
      {results.y, columns, (piece.end - piece.begin) * width, columns,
       task.run.bias ? task.run.bias + channel : nullptr,
       task.run.y + (sample * shape.out_channels + channel) * positions + at, positions});
}

void run_unit(const Task& task, std::int64_t unit, TileWorkspace& workspace) {
  const ConvShape& shape = task.plan().shape;
  const std::int64_t part = unit % task.units.row_parts, columns = unit / task.units.row_parts;
  const std::int64_t last = task.units.first_row(part + 1), height = shape.window.out[0];
  for (std::int64_t row = task.units.first_row(part); row < last;) {
    const std::int64_t sample = row / height, begin = row % height, end = std::min(height, begin + last - row);
    for (std::int64_t g = 0; g < shape.groups; ++g)
      run_piece(task, {sample, g, begin, end, task.units.first_column(columns), task.units.first_column(columns + 1)},
                workspace);
    row += end - begin;
  }
}

}  // namespace

void read_windows_in_place(ConvPlan& plan, const std::vector<PreparedMatrix>& weights) {
  const std::int64_t channels = group_channels(plan.shape), area = plan.shape.window.area();
  plan.in_place = {};
  plan.float_windows.leaves_padding_out =
      plan.path == ConvPath::float_pixels &&
      std::all_of(weights.begin(), weights.end(), [&](const PreparedMatrix& one) { return are_finite(plan, one); });
  if (plan.path != ConvPath::code_pixels || plan.image.direct) return;
  InPlace in_place = in_place_variant(*weights[0].kernel);
  if (!in_place.products || channels % in_place.channel_step != 0) return;
  if (in_place.reads_wide_pixels && area == 1) return;  // windows see few pixels: gathering them is faster
  if (in_place.leaves_padding_out) {
    in_place.sum_stride = round_up(weights[0].n, 16);
    in_place.position_sums.assign(std::size_t(plan.shape.groups * area * in_place.sum_stride), 0);
    for (std::int64_t g = 0; g < plan.shape.groups; ++g)
      sum_positions(weights[std::size_t(g)], channels, area, in_place.sum_stride,
                    in_place.position_sums.data() + g * area * in_place.sum_stride);
  }
  plan.in_place = std::move(in_place);
}

void reserve_in_place(const ConvPlan& plan, LayerWorkspaces& workspaces) {
  const auto grow = [](Buffer& buffer, std::int64_t elements) {
    if (std::int64_t(buffer.size()) < 4 * elements) buffer = Buffer(std::size_t(4 * elements));
  };
  const ConvShape& shape = plan.shape;
  const std::int64_t width = shape.window.out[1], rows = plan.wave * shape.window.out[0];
  const std::int64_t columns = round_up(shape.out_channels / shape.groups, plan.column_step);
  for (TileWorkspace& workspace : workspaces.threads) {  // for every way in which threads may divide the columns
    grow(workspace.results, std::min(rows * width * columns, std::max(kUnitBytes / 4, width * columns)));
    if (plan.path == ConvPath::float_pixels) continue;
    const std::int64_t most = std::min(shape.window.out[0], most_rows(shape, plan.column_step));
    grow(workspace.window_sums, most * width);
    const std::int64_t pixels = pixel_rows(shape.window, most) * plan.image.columns;
    grow(workspace.pixel_sums, pixels);
    if (plan.in_place.reads_wide_pixels) grow(workspace.patches, (pixels * group_channels(shape) + 1) / 2);
  }
}

void run_in_place(const ConvRun& run, const ImagesOfRun& samples, LayerWorkspaces& workspaces) {
  const ConvPlan& plan = run.plan;
  const int threads = run.observer.product ? 1 : run.threads;
  const Task task{run, samples, workspaces, units_of(plan, samples.count, threads)};
  const std::int64_t units = task.units.count(), workers = std::min<std::int64_t>(threads, units);
  // Units next to one another, so that a thread mostly reads the rows of pixels that it has made.
  const auto part = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t worker = begin; worker < end; ++worker)
      for (std::int64_t unit = units * worker / workers; unit < units * (worker + 1) / workers; ++unit)
        run_unit(task, unit, workspaces.threads[std::size_t(worker)]);
  };
  // By reference: a std::function that owned the loop would allocate, and a timed call allocates nothing.
  parallel_for(workers, int(std::max<std::int64_t>(workers, 1)), 1, std::cref(part));
}

}  // namespace qb
