#include "reports/record/hdf5_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/base/error.h"
#include "kernels/base/text.h"

namespace qb {

namespace {

constexpr std::size_t kChunkBytes = 1 << 20;
constexpr std::size_t kMostChunkBytes = 64 << 20;  ///< of a file that is read
constexpr std::size_t kWidestText = 64 << 10;      ///< of a file that is read
constexpr std::uint64_t kUnfolding = 1100;         ///< deflate unfolds at most 1032:1 (RFC 1951); the rest is slack
constexpr hid_t kDefault = H5P_DEFAULT;
/// Files in memory need a name that no file can have: HDF5 refuses bytes under the name of one that exists.
constexpr const char* kNowhere = "/dev/null/run";

Hdf5Handle property_list(hid_t kind) { return Hdf5Handle(H5Pcreate(kind), H5Pclose, "a property list"); }

/// Fixed-length UTF-8 padded with NUL; HDF5 has no text of length 0, so empty text is one NUL.
Hdf5Handle text_type(std::size_t bytes) {
  Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "a text type");
  check_hdf5(H5Tset_size(type.id(), std::max<std::size_t>(bytes, 1)), "set the width of a text");
  check_hdf5(H5Tset_cset(type.id(), H5T_CSET_UTF8), "set the coding of a text");
  check_hdf5(H5Tset_strpad(type.id(), H5T_STR_NULLPAD), "set the padding of a text");
  return type;
}

/// Little-endian in the file and, for numbers, native in memory.
Hdf5Handle cell_type(const Field& field, bool in_file) {
  switch (field.type) {
    case ColumnType::text: return text_type(field.bytes);
    case ColumnType::float64:
      return Hdf5Handle(H5Tcopy(in_file ? H5T_IEEE_F64LE : H5T_NATIVE_DOUBLE), H5Tclose, "a type");
    case ColumnType::int32: return Hdf5Handle(H5Tcopy(in_file ? H5T_STD_I32LE : H5T_NATIVE_INT32), H5Tclose, "a type");
    case ColumnType::int64: return Hdf5Handle(H5Tcopy(in_file ? H5T_STD_I64LE : H5T_NATIVE_INT64), H5Tclose, "a type");
    case ColumnType::uint64:
      return Hdf5Handle(H5Tcopy(in_file ? H5T_STD_U64LE : H5T_NATIVE_UINT64), H5Tclose, "a type");
    case ColumnType::flag:
    case ColumnType::byte: return Hdf5Handle(H5Tcopy(in_file ? H5T_STD_U8LE : H5T_NATIVE_UINT8), H5Tclose, "a type");
  }
  QB_EXPECTS(!"a column type without an HDF5 type");
  std::abort();
}

Hdf5Handle row_type(const TableBytes& table, bool in_file) {
  if (table.flat) return cell_type(table.fields.front(), in_file);
  Hdf5Handle type(H5Tcreate(H5T_COMPOUND, table.row_bytes()), H5Tclose, "a row type");
  std::size_t offset = 0;
  for (const Field& field : table.fields) {
    check_hdf5(H5Tinsert(type.id(), field.name.c_str(), offset, cell_type(field, in_file).id()), "add a column");
    offset += field.bytes;
  }
  return type;
}

void write_attribute(hid_t object, const std::string& name, hid_t type, const void* value) {
  const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose, "a scalar space");
  const Hdf5Handle attribute(H5Acreate2(object, name.c_str(), type, space.id(), kDefault, kDefault), H5Aclose,
                             "attribute " + name);
  check_hdf5(H5Awrite(attribute.id(), type, value), "write attribute " + name);
}

void write_attribute(hid_t object, const std::string& name, std::string_view text) {
  QB_EXPECTS(text.size() <= kLongestAttribute);
  write_attribute(object, name, text_type(text.size()).id(), std::string(text).c_str());
}

Hdf5Handle memory_file_access() {
  quiet_hdf5();
  Hdf5Handle access = property_list(H5P_FILE_ACCESS);
  check_hdf5(H5Pset_fapl_core(access.id(), kChunkBytes, /*backing_store=*/0), "work in memory");
  check_hdf5(H5Pset_libver_bounds(access.id(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V18), "set version bounds");
  return access;
}

/// The folders of "samples/time_ns" are made as needed, like every object without times.
Hdf5Handle folders_on_the_way() {
  Hdf5Handle list = property_list(H5P_LINK_CREATE);
  check_hdf5(H5Pset_create_intermediate_group(list.id(), 1), "make folders");
  return list;
}

Hdf5Handle table_properties(const TableBytes& table) {
  Hdf5Handle list = property_list(H5P_DATASET_CREATE);
  const hsize_t chunk =
      std::clamp<std::size_t>(kChunkBytes / table.row_bytes(), 1, std::max<std::size_t>(table.rows, 1));
  check_hdf5(H5Pset_obj_track_times(list.id(), false), "leave out times");
  check_hdf5(H5Pset_chunk(list.id(), 1, &chunk), "set the chunk size");
  check_hdf5(H5Pset_shuffle(list.id()), "shuffle bytes");
  check_hdf5(H5Pset_deflate(list.id(), 4), "compress");
  check_hdf5(H5Pset_fletcher32(list.id()), "add checksums");
  return list;
}

}  // namespace

Hdf5Writer::Hdf5Writer()
    : file_(H5Fcreate(kNowhere, H5F_ACC_TRUNC, kDefault, memory_file_access().id()), H5Fclose, "a file in memory") {
  write_attribute(file_.id(), "CLASS", "GROUP");
  write_attribute(file_.id(), "PYTABLES_FORMAT_VERSION", "2.1");
  write_attribute(file_.id(), "TITLE", "quantbench run");
  write_attribute(file_.id(), "VERSION", "1.0");
}

void Hdf5Writer::attribute(std::string_view name, std::string_view text) {
  write_attribute(file_.id(), std::string(name), text);
}

void Hdf5Writer::attribute(std::string_view name, std::int64_t value) {
  write_attribute(file_.id(), std::string(name), H5T_STD_I64LE, &value);
}

void Hdf5Writer::text(std::string_view name, std::string_view title, std::string_view text) {
  const Hdf5Handle type = text_type(text.size());
  const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose, "a scalar space");
  const Hdf5Handle properties = property_list(H5P_DATASET_CREATE);
  check_hdf5(H5Pset_obj_track_times(properties.id(), false), "leave out times");
  const std::string path(name);
  const Hdf5Handle set(H5Dcreate2(file_.id(), path.c_str(), type.id(), space.id(), kDefault, properties.id(), kDefault),
                       H5Dclose, path);
  check_hdf5(H5Dwrite(set.id(), type.id(), H5S_ALL, H5S_ALL, kDefault, std::string(text).c_str()), "write " + path);
  write_attribute(set.id(), "TITLE", title);
}

void Hdf5Writer::table(const TableBytes& table, std::string_view title) {
  QB_EXPECTS(table.bytes.size() == table.rows * table.row_bytes());
  const hsize_t rows = table.rows, unlimited = H5S_UNLIMITED;
  const Hdf5Handle space(H5Screate_simple(1, &rows, &unlimited), H5Sclose, "a table space");
  const Hdf5Handle type = row_type(table, /*in_file=*/true);
  const Hdf5Handle set(H5Dcreate2(file_.id(), table.name.c_str(), type.id(), space.id(), folders_on_the_way().id(),
                                  table_properties(table).id(), kDefault),
                       H5Dclose, table.name);
  if (rows > 0)
    check_hdf5(
        H5Dwrite(set.id(), row_type(table, /*in_file=*/false).id(), H5S_ALL, H5S_ALL, kDefault, table.bytes.data()),
        "write " + table.name);
  write_attribute(set.id(), "TITLE", title);
  if (table.flat) {
    if (!table.fields.front().unit.empty()) write_attribute(set.id(), "UNITS", table.fields.front().unit);
    return;
  }
  write_attribute(set.id(), "CLASS", "TABLE");
  write_attribute(set.id(), "VERSION", "2.7");
  for (std::size_t k = 0; k < table.fields.size(); ++k) {
    write_attribute(set.id(), fmt::format("FIELD_{}_NAME", k), table.fields[k].name);
    write_attribute(set.id(), fmt::format("FIELD_{}_UNITS", k), table.fields[k].unit);
  }
}

std::string Hdf5Writer::take() {
  check_hdf5(H5Fflush(file_.id(), H5F_SCOPE_GLOBAL), "finish the file");
  const ssize_t size = H5Fget_file_image(file_.id(), nullptr, 0);
  check_hdf5(size < 0 ? -1 : 0, "measure the file");
  std::string bytes(std::size_t(size), '\0');
  check_hdf5(H5Fget_file_image(file_.id(), bytes.data(), bytes.size()) == size ? 0 : -1, "copy the file");
  return bytes;
}

namespace {

Hdf5Handle open_bytes(std::string_view bytes) {
  const Hdf5Handle access = memory_file_access();
  // The library copies the bytes before it returns, hence the const_cast.
  check_hdf5(H5Pset_file_image(access.id(), const_cast<char*>(bytes.data()), bytes.size()), "take the file's bytes");
  check_hdf5(H5Pset_fclose_degree(access.id(), H5F_CLOSE_STRONG), "set how the file closes");
  return Hdf5Handle(H5Fopen(kNowhere, H5F_ACC_RDONLY, access.id()), H5Fclose, "it");
}

/// Attribute `name` of the root; its type is checked by the caller.
Hdf5Handle root_attribute(hid_t file, const std::string& name) {
  if (H5Aexists(file, name.c_str()) <= 0) throw DataError(fmt::format("attribute '{}' is missing", name));
  return Hdf5Handle(H5Aopen(file, name.c_str(), kDefault), H5Aclose, "attribute " + name);
}

/// The width of a fixed-length text type; refuses every other type.
std::size_t text_width(hid_t type, std::string_view what, std::size_t most) {
  if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0)
    throw DataError(fmt::format("{} is not text of fixed length", what));
  const std::size_t width = H5Tget_size(type);
  if (width == 0 || width > most)
    throw DataError(fmt::format("{} has a width of {} bytes; at most {} are accepted", what, width, most));
  return width;
}

std::string until_padding(std::string text, std::string_view what) {
  text.erase(text.find_last_not_of('\0') + 1);
  if (text.find('\0') != std::string::npos || !valid_utf8(text))
    throw DataError(fmt::format("{} is not UTF-8 text", what));
  return text;
}

hsize_t rows_of(hid_t set, std::string_view name) {
  const Hdf5Handle space(H5Dget_space(set), H5Sclose, name);
  hsize_t rows = 0;
  if (H5Sis_simple(space.id()) <= 0 || H5Sget_simple_extent_ndims(space.id()) != 1 ||
      H5Sget_simple_extent_dims(space.id(), &rows, nullptr) != 1)
    throw DataError(fmt::format("'{}' is not a table with one dimension", name));
  return rows;
}

/// Chunks of a moderate size under the three known filters, or bytes in one piece, all inside this file.
void check_storage(hid_t set, std::string_view name) {
  const Hdf5Handle list(H5Dget_create_plist(set), H5Pclose, name);
  const H5D_layout_t layout = H5Pget_layout(list.id());
  const bool known_layout = layout == H5D_CHUNKED || layout == H5D_CONTIGUOUS || layout == H5D_COMPACT;
  if (!known_layout || H5Pget_external_count(list.id()) != 0)
    throw DataError(fmt::format("'{}' is not stored inside the file", name));
  if (layout == H5D_CHUNKED) {
    std::array<hsize_t, H5S_MAX_RANK> chunk{};
    const Hdf5Handle type(H5Dget_type(set), H5Tclose, name);
    const std::size_t row_bytes = H5Tget_size(type.id());
    if (H5Pget_chunk(list.id(), H5S_MAX_RANK, chunk.data()) != 1 || row_bytes == 0 ||
        chunk[0] > kMostChunkBytes / row_bytes)
      throw DataError(fmt::format("'{}' is stored in pieces larger than {} bytes", name, kMostChunkBytes));
  }
  for (int i = 0; i < H5Pget_nfilters(list.id()); ++i) {
    unsigned flags = 0;
    std::size_t values = 0;
    const H5Z_filter_t filter = H5Pget_filter2(list.id(), unsigned(i), &flags, &values, nullptr, 0, nullptr, nullptr);
    if (filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_FLETCHER32)
      throw DataError(fmt::format("'{}' is stored through filter {}; known are shuffle, deflate and fletcher32", name,
                                  int(filter)));
  }
}

/// A number in the file has the width, kind and sign that the column declares; text may have another width.
void check_cell(hid_t type, Field& field, std::string_view table) {
  const std::string what = fmt::format("column '{}' of '{}'", field.name, table);
  if (field.type == ColumnType::text) {
    field.bytes = text_width(type, what, kWidestText);
    return;
  }
  if (H5Tequal(type, cell_type(field, /*in_file=*/true).id()) <= 0)
    throw DataError(fmt::format("{} has another type than this version writes", what));
}

void check_columns(hid_t set, TableBytes& table) {
  const Hdf5Handle type(H5Dget_type(set), H5Tclose, table.name);
  if (table.flat) return check_cell(type.id(), table.fields.front(), table.name);
  if (H5Tget_class(type.id()) != H5T_COMPOUND) throw DataError(fmt::format("'{}' is not a table", table.name));
  for (Field& field : table.fields) {
    const int member = H5Tget_member_index(type.id(), field.name.c_str());
    if (member < 0) throw DataError(fmt::format("table '{}' has no column '{}'", table.name, field.name));
    check_cell(Hdf5Handle(H5Tget_member_type(type.id(), unsigned(member)), H5Tclose, table.name).id(), field,
               table.name);
  }
}

}  // namespace

Hdf5Reader::Hdf5Reader(std::string_view bytes) : file_(open_bytes(bytes)), budget_(bytes.size() * kUnfolding) {}

std::string Hdf5Reader::attribute_text(std::string_view name) const {
  const std::string path(name), what = fmt::format("attribute '{}'", name);
  const Hdf5Handle attribute = root_attribute(file_.id(), path);
  const Hdf5Handle type(H5Aget_type(attribute.id()), H5Tclose, what),
      space(H5Aget_space(attribute.id()), H5Sclose, what);
  const std::size_t width = text_width(type.id(), what, kLongestAttribute);
  if (H5Sget_simple_extent_npoints(space.id()) != 1) throw DataError(what + " is not a single text");
  std::string text(width, '\0');
  check_hdf5(H5Aread(attribute.id(), text_type(width).id(), text.data()), "read " + what);
  return until_padding(std::move(text), what);
}

std::int64_t Hdf5Reader::attribute_number(std::string_view name) const {
  const std::string path(name), what = fmt::format("attribute '{}'", name);
  const Hdf5Handle attribute = root_attribute(file_.id(), path);
  const Hdf5Handle type(H5Aget_type(attribute.id()), H5Tclose, what),
      space(H5Aget_space(attribute.id()), H5Sclose, what);
  if (H5Tequal(type.id(), H5T_STD_I64LE) <= 0 || H5Sget_simple_extent_npoints(space.id()) != 1)
    throw DataError(what + " is not a single whole number");
  std::int64_t value = 0;
  check_hdf5(H5Aread(attribute.id(), H5T_NATIVE_INT64, &value), "read " + what);
  return value;
}

void Hdf5Reader::spend(std::string_view name, std::uint64_t rows, std::uint64_t row_bytes) {
  if (rows > budget_ / row_bytes) throw DataError(fmt::format("'{}' claims more data than the file can hold", name));
  budget_ -= rows * row_bytes;
}

Hdf5Handle Hdf5Reader::dataset(std::string_view name) {
  for (std::size_t end = 0; end != std::string_view::npos;) {
    end = name.find('/', end == 0 ? 0 : end + 1);
    const std::string path(name.substr(0, end));
    H5L_info_t link{};
    if (H5Lexists(file_.id(), path.c_str(), kDefault) <= 0) throw DataError(fmt::format("'{}' is missing", path));
    check_hdf5(H5Lget_info(file_.id(), path.c_str(), &link, kDefault), "look at " + path);
    if (link.type != H5L_TYPE_HARD)
      throw DataError(fmt::format("'{}' is a link; a run file holds all its data itself", path));
  }
  Hdf5Handle set(H5Dopen2(file_.id(), std::string(name).c_str(), kDefault), H5Dclose, name);
  check_storage(set.id(), name);
  return set;
}

std::string Hdf5Reader::text(std::string_view name) {
  const Hdf5Handle set = dataset(name);
  const Hdf5Handle type(H5Dget_type(set.id()), H5Tclose, name), space(H5Dget_space(set.id()), H5Sclose, name);
  const std::size_t width = text_width(type.id(), name, budget_);
  if (H5Sget_simple_extent_npoints(space.id()) != 1) throw DataError(fmt::format("'{}' is not a single text", name));
  spend(name, 1, width);
  std::string text(width, '\0');
  check_hdf5(H5Dread(set.id(), text_type(width).id(), H5S_ALL, H5S_ALL, kDefault, text.data()),
             fmt::format("read '{}'", name));
  return until_padding(std::move(text), name);
}

TableBytes Hdf5Reader::table(std::string_view name, const std::vector<Field>& wanted, bool flat) {
  const Hdf5Handle set = dataset(name);
  TableBytes table{std::string(name), flat, wanted, 0, {}};
  check_columns(set.id(), table);
  table.rows = rows_of(set.id(), name);
  spend(name, table.rows, table.row_bytes());
  table.bytes.resize(table.rows * table.row_bytes());
  if (table.rows > 0)
    check_hdf5(
        H5Dread(set.id(), row_type(table, /*in_file=*/false).id(), H5S_ALL, H5S_ALL, kDefault, table.bytes.data()),
        fmt::format("read '{}'", name));
  return table;
}

}  // namespace qb
