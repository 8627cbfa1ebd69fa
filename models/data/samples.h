// Readers of labelled samples, one per kind of file. Bytes are never trusted: any fault is a DataError of one sentence
// that begins with `where`.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/tensor.h"

namespace qb {

/// Values as the file holds them, before scaling.
struct RawSamples {
  Tensor values;                      ///< [count, ...], any numeric type
  std::vector<std::int32_t> targets;  ///< [count], in [0, classes)
  std::int32_t classes = 0;
};

/// IDX images [count, rows, columns] become [count, 1, rows, columns]; labels [count] are bytes or ints >= 0.
RawSamples read_idx_samples(std::string_view images, std::string_view images_where, std::string_view labels,
                            std::string_view labels_where);

/// Lines of numbers parted by commas, the class last. A first line without numbers is a header. Classes are whole
/// numbers from 0, or names, which count in alphabetical order.
RawSamples read_csv_samples(std::string_view text, std::string_view where);

/// Records of int8 in the given shape (of one sample); `labels` is a CSV text whose last column is the class number.
RawSamples read_byte_samples(std::string_view records, std::string_view records_where, const Shape& shape,
                             std::string_view labels, std::string_view labels_where);

/// npy inputs [count, ...] of any numeric type and labels [count] of any integer type.
RawSamples read_npy_samples(std::string_view inputs, std::string_view inputs_where, std::string_view labels,
                            std::string_view labels_where);

/// The CIFAR-10 binary version: records of a label byte and 3 x 32 x 32 pixel bytes, red, green, blue.
/// Source: the CIFAR-10 page (Krizhevsky), "Binary version".
RawSamples read_cifar_samples(std::string_view records, std::string_view where);

/// Puts the samples of several files of one kind behind each other. Shapes and types agree or a DataError says so.
RawSamples joined(std::vector<RawSamples> parts, std::string_view where);

}  // namespace qb
