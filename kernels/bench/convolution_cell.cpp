#include "kernels/bench/convolution_cell.h"

#include <fmt/format.h>

#include <map>
#include <memory>

#include "kernels/base/error.h"
#include "kernels/bench/choice.h"
#include "kernels/bench/onednn_convolution.h"
#include "kernels/bench/planes.h"
#include "kernels/bench/random_matrix.h"
#include "kernels/convolution/code_images.h"
#include "kernels/convolution/convolution.h"
#include "kernels/convolution/weight_order.h"
#include "kernels/panels.h"

namespace qb {

namespace {

constexpr std::int64_t kProofProducts = std::int64_t(1) << 26;

const ConvObserver kNobody;

/// Operands of a cell, and what the reference makes of some of its positions.
struct Operands {
  LayerShape shape;
  PackedMatrix weights;
  std::vector<float> x;                 ///< [batch, channels, height, width]
  std::vector<std::int64_t> positions;  ///< that are proven, counted over the batch
  std::vector<float> rows;              ///< [positions, k] by the definition: C, H, W order, zeros outside
  std::map<Activations, Expectation> expected;

  bool codes() const { return shape.work == Work::convolution_of_codes; }
  std::int64_t per_sample() const { return shape.m / shape.planes.batch; }
  Problem problem() const { return {&weights, rows.data(), std::ssize(positions), kPlaneScaling}; }
};

float value_at(const Operands& operands, std::int64_t position, std::int64_t t) {
  const Planes& planes = operands.shape.planes;
  const std::int64_t area = planes.kernel * planes.kernel, channel = t / area,
                     sample = position / operands.per_sample(), at = position % operands.per_sample();
  const std::int64_t y = at / planes.out_width() * planes.stride - planes.pad + t % area / planes.kernel;
  const std::int64_t x = at % planes.out_width() * planes.stride - planes.pad + t % planes.kernel;
  if (y < 0 || y >= planes.height || x < 0 || x >= planes.width) return 0.0f;
  return operands.x[std::size_t(((sample * planes.channels + channel) * planes.height + y) * planes.width + x)];
}

Operands make_operands(const QuantFormat& format, const LayerShape& shape) {
  Operands operands{shape, random_weights(format, shape.n, shape.k, /*seed=*/1), random_planes(shape.planes), {}, {},
                    {}};
  const std::int64_t count = std::min(shape.m, std::max<std::int64_t>(2, kProofProducts / (shape.n * shape.k)));
  for (std::int64_t i = 0; i < count; ++i)
    operands.positions.push_back(count == 1 ? 0 : i * (shape.m - 1) / (count - 1));
  for (const std::int64_t position : operands.positions)
    for (std::int64_t t = 0; t < shape.k; ++t) operands.rows.push_back(value_at(operands, position, t));
  return operands;
}

const KernelInfo& reference_for(const Operands& operands, Activations activations) {
  const KernelInfo* reference =
      choose_kernel("reference", activations, operands.weights.format, operands.shape.k, 1, host_isa());
  QB_EXPECTS(reference != nullptr);
  return *reference;
}

/// `y` as planes, or of codes as pixels.
Comparison compare_positions(const Operands& operands, const KernelInfo& kernel, std::span<const float> y) {
  const std::int64_t n = operands.shape.n, per_sample = operands.per_sample();
  std::vector<float> rows;
  for (const std::int64_t position : operands.positions)
    for (std::int64_t j = 0; j < n; ++j)
      rows.push_back(y[std::size_t(
          operands.codes() ? position * n + j : (position / per_sample * n + j) * per_sample + position % per_sample)]);
  return compare(kernel, operands.problem(), operands.expected.at(kernel.activations), rows);
}

/// One kernel with a plan for each number of threads. The input is quantized in every run, but of codes once.
class Ours {
 public:
  Ours(const Operands& operands, const KernelInfo& kernel) : operands_(operands) {
    plan_ = plan_for(kernel, 1);
    const std::int64_t channels = operands.shape.planes.channels;
    weights_.push_back(
        prepare(kernel, reorders_weights(plan_) ? channels_last(operands.weights, channels) : operands.weights));
  }

  void run(int threads, float* y) {
    auto [found, is_new] = plans_.try_emplace(threads);
    auto& [plan, workspaces] = found->second;
    if (is_new) {
      plan = plan_for(*weights_[0].kernel, threads);
      read_windows_in_place(plan, weights_);
      workspaces.threads.resize(std::size_t(threads));
      reserve_workspaces(plan, workspaces);
    }
    const bool integer = weights_[0].kernel->activations == Activations::s8;
    const ConvRun run{plan,    weights_, integer ? kPlaneScaling : RowScaling{}, operands_.x.data(), nullptr, y,
                      threads, kNobody};
    if (!operands_.codes()) return run_conv(run, workspaces);
    if (is_new) make_code_images(run, 0, plan.shape.batch, workspaces);
    run_on_codes(run, workspaces);
  }

 private:
  ConvPlan plan_for(const KernelInfo& kernel, int threads) const {
    const QuantFormat& format = operands_.weights.format;
    ConvPlan plan;
    plan.shape = conv_shape(operands_.shape);
    plan_products(plan, kernel, order_is_free(format, operands_.shape.k), threads);
    return plan;
  }

  const Operands& operands_;
  ConvPlan plan_;
  std::vector<PreparedMatrix> weights_;
  std::map<int, std::pair<ConvPlan, LayerWorkspaces>> plans_;
};

/// oneDNN's convolution, made like ours.
class Onednn : public OnednnCell {
 public:
  Onednn(const Operands& operands, const KernelInfo& kernel)
      : OnednnCell(operands.shape, operands.weights, kernel, operands.x.data()) {}
};

template <class Convolution>
void add_candidate(const KernelInfo& kernel, const Operands& operands, std::vector<Candidate>& candidates) {
  const LayerShape& shape = operands.shape;
  const Planes& planes = shape.planes;
  const auto convolution = std::make_shared<Convolution>(operands, kernel);
  const auto y = std::make_shared<std::vector<float>>(std::size_t(shape.m * shape.n));
  const std::int64_t x_size = planes.batch * planes.channels * planes.height * planes.width;
  convolution->run(1, y->data());  // what it cannot do it says now
  Candidate candidate{.kernel = &kernel,
                      .bytes = x_size * (operands.codes() ? 1 : 4) + 4 * std::ssize(*y),
                      .arithmetic = arithmetic_of(kernel)};
  candidate.run = [=](int threads) { convolution->run(threads, y->data()); };
  candidate.result = [=] { return std::as_bytes(std::span(*y)); };
  candidate.compare = [=, &operands, &kernel] { return compare_positions(operands, kernel, *y); };
  candidates.push_back(std::move(candidate));
}

}  // namespace

std::vector<TableRow> measure_convolution(const Bench& bench, const Options& options, const QuantFormat& format,
                                          const LayerShape& shape, std::vector<std::string>& missing) {
  const bool codes = shape.work == Work::convolution_of_codes;
  const auto fits = [&](const KernelInfo& kernel) {
    if (!includes(host_isa(), kernel.needs)) return false;
    if (kernel.activations == Activations::bf16) return format.kind == CodeKind::bf16;
    return kernel.activations == Activations::s8 || (kernel.activations == Activations::f32 && !codes);
  };
  const auto is_asked = [&](const KernelInfo& kernel) {
    const bool long_reference = kernel.reference && shape.m * shape.n * shape.k > kReferenceProducts;
    return !kernel.peer && !long_reference && fits(kernel) && applies(kernel, format, shape.k) &&
           is_wanted(kernel, options.kernels, format, shape.k, shape.m);
  };
  Operands operands = make_operands(format, shape);
  std::vector<Candidate> candidates;
  const auto add = [&](const KernelInfo& kernel, const auto& maker) {
    try {
      if (!operands.expected.contains(kernel.activations))
        operands.expected[kernel.activations] =
            expected_of(reference_for(operands, kernel.activations), operands.problem());
      maker(kernel, operands, candidates);
    } catch (const Unsupported& error) {
      missing.push_back(fmt::format("{} on {}: {}", kernel.name, to_text(format), error.what()));
    }
  };
  for (const KernelInfo& kernel : kernels())
    if (is_asked(kernel)) add(kernel, add_candidate<Ours>);
  const KernelInfo* peer = onednn_convolution_for(shape.work, format);
  if (peer != nullptr && fits(*peer) && is_wanted(*peer, options.kernels, format, shape.k, shape.m))
    add(*peer, add_candidate<Onednn>);
  return measure_cell(bench, {format}, shape, options.threads, candidates);
}

}  // namespace qb
