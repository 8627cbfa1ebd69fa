#include <algorithm>
#include <cmath>

#include "models/data/generated/generated.h"
#include "models/data/generated/sample_streams.h"

namespace qb {
namespace {

/// How a sample's values are arranged: planes of rows and columns.
struct Planes {
  std::int64_t count = 1, rows = 1, columns = 1;
};

Planes planes_of(const Shape& shape) {
  Planes planes;
  if (!shape.empty()) planes.columns = shape.back();
  if (shape.size() > 1) planes.rows = shape[shape.size() - 2];
  for (std::size_t i = 0; i + 2 < shape.size(); ++i) planes.count *= shape[i];
  return planes;
}

/// A spot whose strength falls smoothly to nothing at its edge: (1 - r^2)^2.
struct Spot {
  double y = 0, x = 0, reach_y = 1, reach_x = 1;

  double at(double row, double column) const {
    const double dy = (row - y) / reach_y, dx = (column - x) / reach_x, inside = 1 - dy * dy - dx * dx;
    return inside > 0 ? inside * inside : 0;
  }
};

void draw(const PicturesOptions& options, const Planes& planes, Random& random, std::vector<double>& field,
          std::uint8_t* pixels) {
  constexpr double kMiddle = 128;
  std::vector<double> colour(std::size_t(planes.count));
  for (double& level : colour) level = kMiddle + options.contrast * random.normal() / 2;
  for (std::int64_t p = 0; p < planes.count; ++p)
    std::fill_n(field.begin() + p * planes.rows * planes.columns, planes.rows * planes.columns, colour[std::size_t(p)]);
  for (std::int64_t i = 0; i < options.blobs; ++i) {
    Spot spot;
    spot.y = random.uniform(0, double(planes.rows));
    spot.x = random.uniform(0, double(planes.columns));
    const double reach = random.uniform(0.1, 0.7);
    spot.reach_y = std::max(1.0, reach * double(planes.rows));
    spot.reach_x = std::max(1.0, reach * double(planes.columns));
    const double light = random.normal();
    for (double& strength : colour) strength = options.contrast * (light + random.normal()) / 2;
    for (std::int64_t y = 0; y < planes.rows; ++y)
      for (std::int64_t x = 0; x < planes.columns; ++x) {
        const double share = spot.at(double(y), double(x));
        for (std::int64_t p = 0; share > 0 && p < planes.count; ++p)
          field[std::size_t((p * planes.rows + y) * planes.columns + x)] += share * colour[std::size_t(p)];
      }
  }
  for (std::size_t i = 0; i < field.size(); ++i) {
    const double value = field[i] + (options.noise > 0 ? options.noise * random.normal() : 0);
    pixels[i] = std::uint8_t(std::clamp(std::nearbyint(value), 0.0, 255.0));
  }
}

/// Whole numbers below `bound`, evenly drawn.
Tensor ids(std::int64_t bound, const Shape& shape, const SampleStreams& streams) {
  Tensor tensor(DType::i32, shape);
  const std::int64_t each = shape[0] > 0 ? tensor.size() / shape[0] : 0;
  for (std::int64_t i = 0; i < shape[0]; ++i) {
    Random random = streams.of_sample(i);
    for (std::int32_t& id : tensor.as<std::int32_t>().subspan(std::size_t(i * each), std::size_t(each)))
      id = std::int32_t(random.below(std::uint64_t(bound)));
  }
  return tensor;
}

}  // namespace

Tensor pictures(const PicturesOptions& options, const Shape& shape, const std::string& split, std::int64_t count,
                std::uint64_t seed) {
  const SampleStreams streams(split, count, seed);
  const std::int64_t each = element_count(shape);
  Shape all = shape;
  all.insert(all.begin(), count);
  if (options.ids > 0) return ids(options.ids, all, streams);
  Tensor tensor(DType::u8, all);
  std::vector<double> field;
  field.resize(std::size_t(each));
  for (std::int64_t i = 0; i < count; ++i) {
    Random random = streams.of_sample(i);
    draw(options, planes_of(shape), random, field, tensor.bytes.as<std::uint8_t>() + i * each);
  }
  return tensor;
}

}  // namespace qb
