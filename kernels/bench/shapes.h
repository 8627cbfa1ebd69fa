// Layer shapes of networks, read from configs/shapes.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace qb {

/// What is computed on a shape.
enum class Work : std::uint8_t {
  product,
  depthwise,             ///< float32 planes to float32 planes
  convolution,           ///< likewise
  convolution_of_codes,  ///< int8 codes as pixels to float32 pixels: nothing is quantized, nothing becomes planes
  rows,                  ///< float32 rows to what kernels read: int8 codes, bf16, signs
  attention,             ///< of float32 queries, keys and values
};
inline constexpr int kWorks = 6;
std::string_view name_of(Work work);

/// Square kernels over planes [batch, channels, height, width], as a line of a shapes file gives them.
struct Planes {
  std::int64_t batch = 1, channels = 0, height = 0, width = 0, kernel = 0, stride = 1;
  std::int64_t pad = 0;      ///< zeros on each side
  std::int64_t results = 0;  ///< channels of the result
  std::int64_t out_height() const { return (height + 2 * pad - kernel) / stride + 1; }
  std::int64_t out_width() const { return (width + 2 * pad - kernel) / stride + 1; }
  bool operator==(const Planes&) const = default;
};

/// Queries that see `keys` keys, or (causal) query i those before keys - queries + i + 1.
struct Heads {
  std::int64_t queries = 0, keys = 0, heads = 0, kv_heads = 0, size = 0;
  bool causal = false;
  double seen() const;  ///< pairs of a query and a key that it sees, of one head
  bool operator==(const Heads&) const = default;
};

/// y [m, n] = a [m, k] * transpose(w [n, k]); of a convolution m counts the positions of the result, n its channels, k
/// the weights of one, so that 2 m n k operations are done. Of rows [m, k] n is 0. Of attention m counts
/// queries, k keys, and n elements of all heads twice: 2 n for each pair that sees each other.
struct LayerShape {
  std::int64_t m = 0, n = 0, k = 0;
  std::string comment = {};  ///< what stands behind '#' in its line
  Work work = Work::product;
  Planes planes = {};  ///< of convolutions
  Heads heads = {};    ///< of attention
  bool operator==(const LayerShape&) const = default;
};

std::string to_text(
    const LayerShape& shape);  ///< "512 x 4096 x 4096", "64 x 112 x 112, 3 x 3 / 2", "64 x 56 x 56 to 128, 3 x 3"

/// One shape per line; each number is in [1, 1000000] (p from 0), and n * k below 2^31; empty lines and what follows
/// '#' are skipped.
///
///   m n k                            a product
///   depthwise c=64 h=112 w=112 k=3   channels, rows, columns, kernel; besides n= samples (1), s= stride (1),
///                                    p= zeros on each side (k / 2)
///   convolution c=64 h=56 w=56 k=3   likewise; besides o= channels of the result (c)
///   rows m=512 k=4096                rows of activations and their length
///   attention queries=512 keys=512 heads=16 size=64   besides kv= heads of keys and values (heads), causal= 0 or 1 (0)
///
/// Throws DataError naming `where`, the line and the fault.
std::vector<LayerShape> parse_shapes(std::string_view text, std::string_view where);

std::vector<LayerShape> read_shapes(const std::filesystem::path& file);  ///< throws as read_file and parse_shapes

/// The *.txt files of a folder in the order of their names. Throws InputError when there is none.
std::vector<std::filesystem::path> shape_files(const std::filesystem::path& folder);

}  // namespace qb
