#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "kernels/base/parallel.h"
#include "kernels/base/random.h"
#include "models/data/generated/generated.h"
#include "models/data/generated/glyph_shapes.h"
#include "models/data/generated/sample_streams.h"

namespace qb {
namespace {

/// A smooth random displacement: a cubic B-spline over a grid of random vectors that reaches one node beyond the image.
class Warp {
 public:
  Warp(double deviation, double size, Random& random) : cell_(size / kCells) {
    for (GlyphPoint& node : nodes_) {
      node.x = deviation * kSmoothing * random.normal();
      node.y = deviation * kSmoothing * random.normal();
    }
  }

  GlyphPoint moved(GlyphPoint point) const {
    const auto [column, across] = cell_of(point.x);
    const auto [row, down] = cell_of(point.y);
    const std::array<double, 4> wx = spline(across), wy = spline(down);
    GlyphPoint result = point;
    for (std::size_t i = 0; i < 4; ++i) {
      for (std::size_t j = 0; j < 4; ++j) {
        const GlyphPoint& node = nodes_[(row + i) * kNodes + column + j];
        result.x += wy[i] * wx[j] * node.x;
        result.y += wy[i] * wx[j] * node.y;
      }
    }
    return result;
  }

 private:
  static constexpr std::size_t kCells = 4, kNodes = kCells + 3;
  static constexpr double kSmoothing = 2.1;  ///< the spline averages nodes: its deviation is 0.48 of theirs, on average

  std::pair<std::size_t, double> cell_of(double position) const {
    const double scaled = std::clamp(position / cell_, 0.0, double(kCells) - 1e-9);
    const auto cell = std::size_t(scaled);
    return {cell, scaled - double(cell)};
  }
  static std::array<double, 4> spline(double t) {
    const double u = 1.0 - t;
    return {u * u * u / 6.0, (4.0 + t * t * (3.0 * t - 6.0)) / 6.0, (4.0 + u * u * (3.0 * u - 6.0)) / 6.0,
            t * t * t / 6.0};
  }

  double cell_;
  std::array<GlyphPoint, kNodes * kNodes> nodes_;
};

/// Design units to pixels: a turn, a slant, a stretch of either axis, and a shift. The turn's sine and cosine come from
/// t = tan(angle / 2): (1 - t^2) / (1 + t^2) and 2 t / (1 + t^2).
struct Placement {
  double xx, xy, yx, yy, dx, dy;

  Placement(const GlyphsOptions& options, Random& random) {
    const double pixels = 0.66 * double(options.size) / kGlyphHeight;
    const auto draw = [&] { return random.uniform(-options.affine, options.affine); };
    const double t = 0.5 * draw(), slant = draw();
    const double cosine = (1.0 - t * t) / (1.0 + t * t), sine = 2.0 * t / (1.0 + t * t);
    const double wide = pixels * (1.0 + draw()), high = pixels * (1.0 + draw());
    xx = cosine * wide;
    xy = (cosine * slant - sine) * high;
    yx = sine * wide;
    yy = (sine * slant + cosine) * high;
    dx = 0.5 * double(options.size) + random.uniform(-options.shift, options.shift);
    dy = 0.5 * double(options.size) + random.uniform(-options.shift, options.shift);
  }

  GlyphPoint operator()(GlyphPoint point) const {
    const double x = point.x - 0.5 * kGlyphWidth, y = point.y - 0.5 * kGlyphHeight;
    return {xx * x + xy * y + dx, yx * x + yy * y + dy};
  }
};

/// How near each pixel's centre is to a set of lines, as a squared distance in pixels.
class DistanceField {
 public:
  explicit DistanceField(std::int64_t size) : size_(size), squared_(std::size_t(size * size)) { clear(); }

  void clear() { std::fill(squared_.begin(), squared_.end(), kFar); }

  void add(GlyphPoint a, GlyphPoint b, double reach) {
    const double dx = b.x - a.x, dy = b.y - a.y, squared_length = dx * dx + dy * dy;
    const double scale = squared_length > 0 ? 1.0 / squared_length : 0.0;
    const auto [left, right] = pixels_near(std::min(a.x, b.x) - reach, std::max(a.x, b.x) + reach);
    const auto [top, bottom] = pixels_near(std::min(a.y, b.y) - reach, std::max(a.y, b.y) + reach);
    for (std::int64_t row = top; row < bottom; ++row) {
      for (std::int64_t column = left; column < right; ++column) {
        const double px = double(column) + 0.5 - a.x, py = double(row) + 0.5 - a.y;
        const double along = std::clamp((px * dx + py * dy) * scale, 0.0, 1.0);
        const double ox = px - along * dx, oy = py - along * dy;
        double& nearest = squared_[std::size_t(row * size_ + column)];
        nearest = std::min(nearest, ox * ox + oy * oy);
      }
    }
  }

  /// The covered part of a pixel by a stroke of this half width: a linear ramp, one pixel wide.
  double coverage(std::size_t pixel, double half_width) const {
    return std::clamp(half_width + 0.5 - std::sqrt(squared_[pixel]), 0.0, 1.0);
  }

 private:
  static constexpr double kFar = 1e6;

  std::pair<std::int64_t, std::int64_t> pixels_near(double low, double high) const {
    const double edge = double(size_);
    return {std::int64_t(std::clamp(low, 0.0, edge)), std::int64_t(std::clamp(high + 1.0, 0.0, edge))};
  }

  std::int64_t size_;
  std::vector<double> squared_;
};

/// Draws one sample after another; all memory is reused.
class GlyphPainter {
 public:
  explicit GlyphPainter(const GlyphsOptions& options) : options_(options), ink_(options.size), bar_(options.size) {
    for (const GlyphShape& shape : glyph_shapes()) {
      if (shape.glyph >= options.classes) break;
      if (shape.glyph == std::ssize(ways_)) ways_.emplace_back();
      ways_.back().push_back(&shape);
    }
  }

  /// Writes size * size grey levels / 255 and returns the class.
  std::int32_t paint(Random random, float* pixels) {
    const auto glyph = std::size_t(random.below(ways_.size()));
    const GlyphShape& shape = *ways_[glyph][random.below(ways_[glyph].size())];
    const double size = double(options_.size);
    const Placement place(options_, random);
    const Warp warp(options_.warp, size, random);
    const double half_width = random.uniform(0.45, 1.15) * size / 20.0;
    ink_.clear();
    for (const GlyphStroke& stroke : shape.strokes) {
      GlyphPoint last = warp.moved(place(stroke.front()));
      for (std::size_t i = 1; i < stroke.size(); ++i) {
        const GlyphPoint next = warp.moved(place(stroke[i]));
        ink_.add(last, next, half_width + 1.0);
        last = next;
      }
    }
    shade(random, half_width, pixels);
    return std::int32_t(glyph);
  }

 private:
  /// Paper with a gradient, ink, perhaps a bar, and noise; rounded to whole grey levels.
  void shade(Random& random, double half_width, float* pixels) {
    const double size = double(options_.size);
    const double contrast = random.uniform(options_.contrast, 1.0);
    const double paper = random.uniform(0.0, 1.0 - contrast);
    const double slope_x = random.uniform(-0.3, 0.3) * (1.0 - contrast),
                 slope_y = random.uniform(-0.3, 0.3) * (1.0 - contrast);
    const bool occluded = random.uniform() < options_.occlusion;
    const double bar_width = random.uniform(0.4, 1.1) * size / 20.0;
    const bool bar_is_ink = random.below(2) == 1;
    if (occluded) {
      bar_.clear();
      const GlyphPoint from = {random.uniform(0.0, size), random.uniform(0.0, size)};
      const GlyphPoint to = {random.uniform(0.0, size), random.uniform(0.0, size)};
      bar_.add(from, to, bar_width + 1.0);
    }
    for (std::size_t i = 0; i < std::size_t(options_.size * options_.size); ++i) {
      const double x = double(i % std::size_t(options_.size)) / size - 0.5,
                   y = double(i / std::size_t(options_.size)) / size - 0.5;
      double cover = ink_.coverage(i, half_width);
      if (occluded) {
        const double covered = bar_.coverage(i, bar_width);
        cover = bar_is_ink ? std::max(cover, covered) : std::min(cover, 1.0 - covered);
      }
      const double light =
          255.0 * (paper + contrast * cover + slope_x * x + slope_y * y) + options_.noise * random.normal();
      pixels[i] = float(std::int32_t(std::clamp(light, 0.0, 255.0) + 0.5)) / 255.0f;
    }
  }

  const GlyphsOptions& options_;
  DistanceField ink_, bar_;
  std::vector<std::vector<const GlyphShape*>> ways_;  ///< of writing each class
};

}  // namespace

Dataset glyphs(const GlyphsOptions& options, const std::string& split, std::int64_t count, std::uint64_t seed,
               int threads) {
  const SampleStreams streams(split, count, seed);
  Dataset result;
  result.name = "glyphs";
  result.split = split;
  result.classes = std::int32_t(options.classes);
  result.inputs = Tensor(DType::f32, {count, 1, options.size, options.size});
  result.targets.resize(std::size_t(count));
  const std::int64_t pixels = options.size * options.size;
  float* images = result.inputs.as<float>().data();
  parallel_for(count, threads, /*grain=*/64, [&](std::int64_t begin, std::int64_t end) {
    GlyphPainter painter(options);
    for (std::int64_t i = begin; i < end; ++i)
      result.targets[std::size_t(i)] = painter.paint(streams.of_sample(i), images + i * pixels);
  });
  result.digest = digest_of_samples(result);
  return result;
}

}  // namespace qb
