// An HDF5 file as bytes in memory: a writer whose bytes depend on nothing but what is written, and a reader of bytes
// that nobody vouches for. Both work in memory, so that a full disk can never meet the library in the middle of a
// change.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reports/record/hdf5_columns.h"
#include "reports/record/hdf5_handle.h"

namespace qb {

/// Collects attributes and tables; then gives the file's bytes. Names are paths without the leading '/'.
///
/// Tables follow the conventions of PyTables 1.0 (CLASS, VERSION, TITLE, FIELD_k_NAME, FIELD_k_UNITS), so that PyTables
/// and pandas.read_hdf open them. Every table: chunks of at most 1 MiB, shuffle, gzip 4, fletcher32, no times.
class Hdf5Writer {
 public:
  Hdf5Writer();
  void attribute(std::string_view name, std::string_view text);  ///< of the root; at most kLongestAttribute bytes
  void attribute(std::string_view name, std::int64_t value);
  void text(std::string_view name, std::string_view title,
            std::string_view text);  ///< a scalar data set of fixed-length UTF-8
  void table(const TableBytes& table, std::string_view title);
  std::string take();  ///< ends the file; call once

 private:
  Hdf5Handle file_;
};
inline constexpr std::size_t kLongestAttribute = 32 << 10;

/// Reads bytes that may be hostile: only hard links, only the filters named above, no external or virtual storage, and
/// sizes within what the file's own length can unfold to. Throws DataError without the file's name; the caller adds it.
///
/// The library itself can crash or loop on crafted bytes: read foreign files in a guarded child (run_file.h).
class Hdf5Reader {
 public:
  explicit Hdf5Reader(std::string_view bytes);  ///< copied
  std::string attribute_text(std::string_view name) const;
  std::int64_t attribute_number(std::string_view name) const;
  std::string text(std::string_view name);
  /// Fields of other types or missing ones are refused; columns not asked for are left alone. Text has the file's
  /// widths.
  TableBytes table(std::string_view name, const std::vector<Field>& wanted, bool flat);

 private:
  Hdf5Handle dataset(std::string_view name);
  void spend(std::string_view name, std::uint64_t rows, std::uint64_t row_bytes);

  Hdf5Handle file_;
  std::uint64_t budget_;  ///< bytes that may still be unfolded
};

}  // namespace qb
