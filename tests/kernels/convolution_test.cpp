// Rows of a convolution copied from pixels, and weights put into their order.
#include <doctest/doctest.h>

#include <algorithm>

#include "kernels/base/cpu.h"
#include "kernels/convolution/add_transposed.h"
#include "kernels/convolution/convolution.h"
#include "kernels/convolution/patch_rows.h"
#include "kernels/convolution/weight_order.h"
#include "tests/kernels/conv_case.h"
#include "tests/kernels/gemm_case.h"

namespace qb {

namespace {

std::vector<std::int8_t> random_codes(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::int8_t> codes(count);
  for (std::int8_t& code : codes) code = std::int8_t(random.below(256));
  return codes;
}

std::vector<GatherRunsFn> gatherers() {
  std::vector<GatherRunsFn> all = {gather_runs_portable};
#if defined(__x86_64__)
  if (includes(host_isa(), Isa::avx512)) all.push_back(gather_runs_avx512);
#endif
  return all;
}

}  // namespace

TEST_CASE("planes become pixels, whatever their number and length, and nothing else is written") {
  for (std::int64_t channels = 1; channels <= 16; ++channels)
    for (const std::int64_t count : {1, 2, 15, 16, 17, 33, 64, 79}) {
      const std::int64_t plane_stride = count + 20, pixel_stride = channels + channels % 3;
      const std::vector<std::int8_t> planes = random_codes(std::size_t(16 * plane_stride), 1);
      std::vector<std::int8_t> pixels(std::size_t(count * pixel_stride + 1), 77);
      interleave_planes(planes.data(), plane_stride, channels, count, pixels.data(), pixel_stride);
      INFO(channels, " channels of ", count);
      for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t c = 0; c < pixel_stride; ++c)
          REQUIRE(pixels[std::size_t(i * pixel_stride + c)] ==
                  (c < channels ? planes[std::size_t(c * plane_stride + i)] : 77));
      CHECK(pixels.back() == 77);
    }
}

TEST_CASE("windows are gathered run after run and padded with zero's code") {
  const std::vector<std::int8_t> image = random_codes(4000, 2);
  for (const GatherRunsFn gather : gatherers())
    for (const std::int64_t run_bytes : {1, 3, 15, 16, 17, 48, 63, 64, 65, 192, 200})
      for (const std::int64_t runs : {1, 2, 3, 7}) {
        const std::int64_t k = run_bytes * runs, padded = (k + 63) / 64 * 64, stride = padded + 64, count = 5;
        std::vector<std::int64_t> offset;
        for (std::int64_t r = 0; r < runs; ++r) offset.push_back(r * 301);
        std::vector<std::int8_t> rows(std::size_t(count * stride), 99);
        gather({image.data() + 7, 11, count, offset.data(), runs, run_bytes, rows.data(), stride, -5});
        INFO(runs, " runs of ", run_bytes);
        for (std::int64_t i = 0; i < count; ++i) {
          const std::int8_t* row = rows.data() + i * stride;
          for (std::int64_t t = 0; t < k; ++t)
            REQUIRE(row[t] == image[std::size_t(7 + 11 * i + t / run_bytes * 301 + t % run_bytes)]);
          CHECK(std::all_of(row + k, row + padded, [](std::int8_t code) { return code == -5; }));
          CHECK(std::all_of(row + padded + 16, row + stride, [](std::int8_t code) { return code == 99; }));
        }
      }
}

TEST_CASE("rows become planes with their bias, whatever their number and width, and nothing else is written") {
  std::vector<AddTransposedFn> variants = {add_transposed_portable};
#if defined(__x86_64__)
  if (includes(host_isa(), Isa::avx512)) variants.push_back(add_transposed_avx512);
#endif
  Random random(3);
  std::vector<float> from(70 * 40), bias(40);
  for (float& value : from) value = float(random.uniform(-1, 1));
  for (float& value : bias) value = float(random.uniform(-1, 1));
  for (const AddTransposedFn add_transposed : variants)
    for (const std::int64_t rows : {1, 3, 15, 16, 17, 64, 69})
      for (const std::int64_t columns : {1, 2, 15, 16, 17, 32, 39})
        for (const float* shift : {static_cast<const float*>(nullptr), static_cast<const float*>(bias.data())}) {
          std::vector<float> wanted(40 * 75, -7.0f), got = wanted;
          for (std::int64_t i = 0; i < rows; ++i)
            for (std::int64_t j = 0; j < columns; ++j)
              wanted[std::size_t(1 + j * 75 + i)] = from[std::size_t(i * 40 + j)] + (shift ? shift[j] : 0.0f);
          add_transposed({from.data(), 40, rows, columns, shift, got.data() + 1, 75});
          INFO(rows, " rows of ", columns);
          CHECK(got == wanted);
        }
}

TEST_CASE("reordered weights and rows of weights have the values of the originals") {
  for (const char* text : {"q8c", "q4cz", "q8t", "t4c", "q3c", "q4g64", "q4c.f16", "e2m1c", "q5co", "f32", "bf16"}) {
    INFO(text);
    const PackedMatrix w = random_weights(parse_quant_format(text), 6, 36, /*seed=*/4);
    const std::vector<float> values = dequantize(w), turned = dequantize(channels_last(w, 4)),
                             part = dequantize(rows_of(w, 2, 3));
    for (std::int64_t j = 0; j < 6; ++j)
      for (std::int64_t c = 0; c < 4; ++c)
        for (std::int64_t p = 0; p < 9; ++p)
          REQUIRE(turned[std::size_t(j * 36 + p * 4 + c)] == values[std::size_t(j * 36 + c * 9 + p)]);
    CHECK(std::equal(part.begin(), part.end(), values.begin() + 2 * 36));
  }
  for (const char* text : {"f32", "bf16", "q4g16", "t3g16", "q4g32z", "nf4g64", "q4g32o.i6", "e2m1g16.e4m3"}) {
    INFO(text);
    const PackedMatrix w = random_weights(parse_quant_format(text), 5, 512, /*seed=*/4);
    const std::vector<float> values = dequantize(w), part = dequantize(rows_of(w, 1, 4));
    CHECK(std::equal(part.begin(), part.end(), values.begin() + 512));
    CHECK(part.size() == 4 * 512);
  }
  CHECK(order_is_free(parse_quant_format("q4g64"), 36));
  CHECK_FALSE(order_is_free(parse_quant_format("q4g32"), 36));
}

TEST_CASE("codes that are quantized already give the product that gemm makes of the floats") {
  for (const KernelInfo& kernel : kernels()) {
    if (kernel.operation != Operation::product || kernel.activations != Activations::s8) continue;
    if (!includes(host_isa(), kernel.needs)) continue;
    for (const char* text : {"q8c", "q4c", "q4g32"}) {
      const QuantFormat format = parse_quant_format(text);
      if (!kernel.accepts(format, 70)) continue;
      const GemmCase c = gemm_case(format, 7, 9, 70, /*seed=*/6);
      const RowScaling scaling{RowScaling::Kind::fixed, 8, 0.01f, 37};
      const std::int64_t stride = 128;
      std::vector<std::int8_t> codes(std::size_t(c.m * stride), 37);
      for (std::int64_t i = 0; i < c.m; ++i)
        for (std::int64_t t = 0; t < 70; ++t)
          codes[std::size_t(i * stride + t)] =
              std::int8_t(std::clamp(std::nearbyint(c.a[std::size_t(i * 70 + t)] / 0.01f) + 37.0f, -128.0f, 127.0f));
      std::vector<float> y(std::size_t(c.m * 9));
      GemmCall call;
      call.m = c.m;
      call.a_stride = stride;
      call.scaling = scaling;
      call.y = y.data();
      call.y_stride = 9;
      call.codes = codes.data();
      GemmScratch scratch;
      gemm(prepare(kernel, c.w), call, scratch);
      INFO(kernel.name, " ", text);
      CHECK(y == product(kernel, c, scaling));
    }
  }
}

namespace {

/// Calls body(kernel) for the variants of gemm_s8_q8 that read windows in place.
template <class Body>
void for_each_in_place(Body body) {
  for (const KernelInfo& kernel : kernels()) {
    if (kernel.family != "gemm_s8_q8" || kernel.reference || kernel.peer || kernel.name == "gemm_s8_q8_i8mm") continue;
    if (!includes(host_isa(), kernel.needs)) {
      MESSAGE("not run on this host: ", kernel.name, " in place");
      continue;
    }
    body(kernel);
  }
}

}  // namespace

TEST_CASE("windows that are read in place give the bits of windows that are gathered") {
  for_each_in_place([](const KernelInfo& kernel) {
    for (const CodesCase& one : codes_cases()) {
      const CodesWays ways(one, kernel);
      INFO(kernel.name, ": ", one.shape.window.in[0], " x ", one.shape.window.in[1], ", ", one.shape.in_channels,
           " channels");
      const bool pairs = kernel.name == "gemm_s8_q8_avx2" || kernel.name == "gemm_s8_q8_neon";
      const bool expected = one.shape.in_channels / one.shape.groups % (pairs ? 2 : 4) == 0 &&
                            !(kernel.name == "gemm_s8_q8_avx2" && one.shape.window.area() == 1);
      CHECK((ways.plan(1, true).in_place.products != nullptr) == expected);
      const std::vector<float> gathered = ways.run(ways.plan(1, false), 1);
      for (const int threads : {1, 2, 3}) CHECK(ways.run(ways.plan(threads, true), threads) == gathered);
    }
  });
}

TEST_CASE("observers of windows that are read in place see the rows and results of every product") {
  for_each_in_place([](const KernelInfo& kernel) {
    for (const CodesCase& one : codes_cases()) {
      const CodesWays ways(one, kernel);
      std::int64_t seen = 0;
      ConvObserver observer;
      observer.product = [&](std::int64_t, std::int64_t count, const PreparedMatrix& weights, const GemmCall& call) {
        std::vector<float> right(std::size_t(call.m * count));
        GemmCall again = call;
        again.y = right.data();
        again.y_stride = count;
        GemmScratch scratch;
        gemm(weights, again, scratch);
        for (std::int64_t i = 0; i < call.m; ++i)
          CHECK(std::equal(right.begin() + i * count, right.begin() + (i + 1) * count, call.y + i * call.y_stride));
        seen += call.m * count;
      };
      ways.run(ways.plan(2, true), 2, observer);
      CHECK(seen == one.shape.batch * one.shape.out_channels * one.shape.window.positions());
    }
  });
}

}  // namespace qb
