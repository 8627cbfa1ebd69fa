#include "models/data/samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "kernels/base/error.h"
#include "models/import.h"

namespace qb {

namespace {

constexpr std::int64_t kMostClasses = 1 << 20;

std::vector<std::int64_t> integers(const Tensor& tensor, std::string_view where) {
  std::vector<std::int64_t> values(std::size_t(tensor.size()));
  const auto copy = [&]<class T>(const T* source) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::int64_t(source[i]);
  };
  switch (tensor.dtype) {
    case DType::u8: copy(tensor.bytes.as<std::uint8_t>()); break;
    case DType::i8: copy(tensor.bytes.as<std::int8_t>()); break;
    case DType::i16: copy(tensor.bytes.as<std::int16_t>()); break;
    case DType::u16: copy(tensor.bytes.as<std::uint16_t>()); break;
    case DType::i32: copy(tensor.bytes.as<std::int32_t>()); break;
    case DType::u32: copy(tensor.bytes.as<std::uint32_t>()); break;
    case DType::i64: copy(tensor.bytes.as<std::int64_t>()); break;
    case DType::u64: copy(tensor.bytes.as<std::uint64_t>()); break;
    default:
      throw DataError(fmt::format("{}: labels are {} values; accepted are integers", where, name_of(tensor.dtype)));
  }
  return values;
}

/// Labels [count] as targets; the number of classes is the largest label + 1.
void set_targets(RawSamples& samples, const Tensor& labels, std::string_view where) {
  if (labels.rank() != 1)
    throw DataError(
        fmt::format("{}: labels have the shape {}; accepted is one dimension", where, to_text(labels.shape)));
  const std::vector<std::int64_t> values = integers(labels, where);
  if (values.size() != std::size_t(samples.values.shape[0]))
    throw DataError(fmt::format("{}: {} labels for {} samples", where, values.size(), samples.values.shape[0]));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || values[i] >= kMostClasses)
      throw DataError(
          fmt::format("{}: label {} of sample {}; accepted are 0 to {}", where, values[i], i, kMostClasses - 1));
    samples.targets.push_back(std::int32_t(values[i]));
    samples.classes = std::max(samples.classes, std::int32_t(values[i]) + 1);
  }
}

void check_some(const RawSamples& samples, std::string_view where) {
  if (samples.values.rank() < 1 || samples.values.size() == 0)
    throw DataError(fmt::format("{}: holds no samples", where));
}

}  // namespace

RawSamples read_idx_samples(std::string_view images, std::string_view images_where, std::string_view labels,
                            std::string_view labels_where) {
  RawSamples samples;
  samples.values = read_idx(images, images_where);
  check_some(samples, images_where);
  if (samples.values.rank() == 3) samples.values.shape.insert(samples.values.shape.begin() + 1, 1);
  set_targets(samples, read_idx(labels, labels_where), labels_where);
  return samples;
}

RawSamples read_npy_samples(std::string_view inputs, std::string_view inputs_where, std::string_view labels,
                            std::string_view labels_where) {
  RawSamples samples;
  samples.values = read_npy(inputs, inputs_where);
  check_some(samples, inputs_where);
  set_targets(samples, read_npy(labels, labels_where), labels_where);
  return samples;
}

RawSamples read_cifar_samples(std::string_view records, std::string_view where) {
  constexpr std::size_t kPixels = 3 * 32 * 32, kRecord = kPixels + 1;
  constexpr std::int32_t kClasses = 10;
  if (records.empty() || records.size() % kRecord != 0)
    throw DataError(
        fmt::format("{}: {} bytes are not a whole number of records of {} bytes", where, records.size(), kRecord));
  const std::size_t count = records.size() / kRecord;
  RawSamples samples;
  samples.values = Tensor(DType::u8, {std::int64_t(count), 3, 32, 32});
  samples.classes = kClasses;
  for (std::size_t i = 0; i < count; ++i) {
    const int label = static_cast<std::uint8_t>(records[i * kRecord]);
    if (label >= kClasses)
      throw DataError(fmt::format("{}: label {} of sample {}; accepted are 0 to {}", where, label, i, kClasses - 1));
    samples.targets.push_back(label);
    std::memcpy(samples.values.bytes.data() + i * kPixels, records.data() + i * kRecord + 1, kPixels);
  }
  return samples;
}

RawSamples joined(std::vector<RawSamples> parts, std::string_view where) {
  if (parts.size() == 1) return std::move(parts[0]);
  RawSamples all;
  Shape shape = parts.at(0).values.shape;
  shape[0] = 0;
  for (const RawSamples& part : parts) {
    const bool same =
        part.values.dtype == parts[0].values.dtype &&
        std::ranges::equal(part.values.shape.begin() + 1, part.values.shape.end(), shape.begin() + 1, shape.end());
    if (!same) throw DataError(fmt::format("{}: the files hold samples of different shapes", where));
    shape[0] += part.values.shape[0];
    all.targets.insert(all.targets.end(), part.targets.begin(), part.targets.end());
    all.classes = std::max(all.classes, part.classes);
  }
  all.values = Tensor(parts[0].values.dtype, shape);
  std::size_t at = 0;
  for (const RawSamples& part : parts) {
    std::memcpy(all.values.bytes.data() + at, part.values.bytes.data(), part.values.bytes.size());
    at += part.values.bytes.size();
  }
  return all;
}

}  // namespace qb
