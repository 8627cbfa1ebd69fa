#include "workers/timing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "kernels/base/clock.h"
#include "workers/host.h"
#include "workers/noise.h"

namespace qb {

namespace {

constexpr int kMostRepeats = 3;
constexpr double kHotShare = 0.6;  ///< of the time limit, when there are cold samples too

std::int64_t clock_ns() { return now_ns(); }

struct Launch {
  Executor& executor;
  const Tensor& input;
  const WorkUnit& unit;
  CacheFlush& flush;

  /// Weights, input and outputs leave the caches; scratch stays, as it would between two layers of a larger program.
  void chill() const {
    for (const std::span<const std::byte> memory : executor.weight_memory()) flush(memory);
    flush(input.bytes.span());
    for (const Tensor& output : executor.outputs()) flush(output.bytes.span());
    flush.finish();
  }

  void measure(Timing& timing, double limit_ns) const {
    const MeasureOptions& options = unit.measure;
    const auto run = [this] { executor.run(input); };
    const double hot_ns = options.cold ? kHotShare * limit_ns : limit_ns;
    const NoiseStart quiet = begin_noise();
    timing.hot = sample_hot(run, {options.min_samples, options.max_samples, options.relative_width, hot_ns},
                            timing.timer, clock_ns);
    if (options.cold) {
      const std::int64_t most = std::max<std::int64_t>(1, options.max_samples / 2);
      timing.cold = sample_cold(
          run, [this] { chill(); },
          {std::clamp<std::int64_t>(options.min_samples / 2, 1, most), most, options.relative_width, limit_ns - hot_ns},
          clock_ns);
    }
    timing.noise = end_noise(quiet, unit.combination.threads);
  }
};

double least_per_run(const SampleSet& set) {
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t i = std::size_t(set.warmup); i < set.time_ns.size(); ++i)
    least = std::min(least, set.time_ns[i] / double(set.iterations[i]));
  return least;
}

}  // namespace

Timing time_unit(Executor& executor, const Tensor& input, const WorkUnit& unit, std::int64_t last_level_bytes,
                 const std::function<void(std::string_view)>& progress) {
  const int threads = unit.combination.threads;
  const std::vector<int> processors = choose_processors(threads);
  CacheFlush flush(last_level_bytes);
  const Launch launch{executor, input, unit, flush};
  progress("wait");
  const HostLock alone(HostLock::Use::timing);
  progress("time");
  const Pinned pinned(threads, processors);
  Timing timing;
  timing.timer = measure_timer(clock_ns);
  const double limit_ns = unit.measure.time_limit_s * 1e9;
  const std::int64_t begin = now_ns();
  for (int repeats = 0;; ++repeats) {
    const std::int64_t launched = now_ns();
    launch.measure(timing, limit_ns);
    timing.noise.repeats = repeats;
    const double took = double(now_ns() - launched), spent = double(now_ns() - begin);
    if (timing.noise.marked.empty() || repeats == kMostRepeats || spent + took > limit_ns) return timing;
  }
}

std::string implausible(const Timing& timing, const HardwareProfile& profile, double operations, double weight_bytes) {
  const double floor_ns = 0.5 * shortest_block_ns(timing.timer);
  for (std::size_t i = std::size_t(timing.hot.warmup); i < timing.hot.time_ns.size(); ++i)
    if (timing.hot.time_ns[i] < floor_ns)
      return fmt::format("block {} took {:.0f} ns, but the clock resolves only blocks above {:.0f} ns", i,
                         timing.hot.time_ns[i], floor_ns);
  double peak = std::max(profile.peak_s8_ops_per_s, profile.peak_f32_ops_per_s);
  if (profile.peak_bf16_ops_per_s > peak) peak = profile.peak_bf16_ops_per_s;
  const double rate = operations / (least_per_run(timing.hot) * 1e-9);
  if (peak > 0 && rate > 1.25 * peak)
    return fmt::format("{:.3g} operations per second are more than the machine's measured peak of {:.3g}", rate, peak);
  const double read = weight_bytes / (least_per_run(timing.cold) * 1e-9);
  if (profile.peak_read_bytes_per_s > 0 && read > 2 * profile.peak_read_bytes_per_s)
    return fmt::format("{:.3g} bytes of cold weights per second are more than the machine's measured {:.3g}", read,
                       profile.peak_read_bytes_per_s);
  return {};
}

std::vector<double> time_shares(Executor& executor, const Tensor& input) {
  constexpr int kRuns = 5;
  std::map<std::string, double, std::less<>> spent;
  double all = 0;
  std::int64_t begin = 0;
  executor.observe({[&](const NodeEvent&) { begin = now_ns(); },
                    [&](const NodeEvent& event) {
                      const auto took = double(now_ns() - begin);
                      spent[event.what->name] += took;
                      all += took;
                    },
                    {}});
  executor.run(input);  // the observer moves values to other memory: the first run is not like the others
  spent.clear();
  all = 0;
  for (int run = 0; run < kRuns; ++run) executor.run(input);
  executor.observe({});
  std::vector<double> shares;
  std::map<std::string_view, int> pieces;  // rows of the same node, which share its time evenly
  for (const ExecutorLayer& layer : executor.layers()) ++pieces[layer.node_name];
  for (const ExecutorLayer& layer : executor.layers())
    shares.push_back(all > 0 ? spent[layer.node_name] / all / pieces[layer.node_name] : kMissing);
  return shares;
}

}  // namespace qb
