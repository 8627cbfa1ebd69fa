// Codes that a graph holds as planes, in the forms in which kernels read them: as pixels, as rows, or as real values.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/base/tensor.h"
#include "kernels/convolution/convolution.h"

namespace qb {

/// Codes of type u8 or i8. Kernels read int8: of u8 the code less 128, which moves the zero point as much.
struct CodePlanes {
  const Tensor* codes = nullptr;
  std::int32_t zero = 0;  ///< the code of real zero as kernels read it

  std::uint8_t flipped() const { return codes->dtype == DType::u8 ? 0x80 : 0; }  ///< bits that change
};

/// Which channels of which samples of [N, channels, height, width] become an image: of every group those from `first`
/// on, as many as the groups of plan.shape have, for samples [sample, sample + plan.shape.batch).
struct PixelsOf {
  CodePlanes from;
  std::int64_t channels = 0;  ///< of all groups of a sample
  std::int64_t first = 0, sample = 0;
};

/// Fills images as run_on_codes() reads them: [group][sample][pixels]. `scratch` has a buffer per thread, which grows.
void make_code_pixels(const PixelsOf& of, const ConvPlan& plan, std::int8_t* images, std::vector<Buffer>& scratch,
                      int threads);

/// Rows [rows, k] with a stride that is a multiple of 64; the code of zero stands behind each row up to it.
void make_code_rows(const CodePlanes& from, std::int64_t rows, std::int64_t k, std::int8_t* to, std::int64_t stride,
                    int threads);

/// y[i] = sign * (code - zero) for codes [begin, begin + count).
void make_real_values(const CodePlanes& from, float sign, std::int64_t begin, std::int64_t count, float* y,
                      int threads);

/// Makes a buffer at least so large; its content is lost where it grows.
void grow(Buffer& buffer, std::int64_t bytes);

}  // namespace qb
