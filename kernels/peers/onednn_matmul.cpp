#include "kernels/peers/onednn_matmul.h"

#include <cstring>
#include <map>
#include <tuple>

#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "kernels/panels.h"
#include "kernels/peers/onednn_library.h"

namespace qb {

namespace {

struct ElementTypes {
  dnnl_data_type_t a, w, y;
};

ElementTypes types_of(OnednnTypes types) {
  switch (types) {
    case OnednnTypes::f32: return {dnnl_f32, dnnl_f32, dnnl_f32};
    case OnednnTypes::bf16: return {dnnl_bf16, dnnl_bf16, dnnl_f32};
    case OnednnTypes::u8_s8_s32: return {dnnl_u8, dnnl_s8, dnnl_s32};
    case OnednnTypes::s8_s8_s32: return {dnnl_s8, dnnl_s8, dnnl_s32};
  }
  return {dnnl_f32, dnnl_f32, dnnl_f32};
}

dnnl_memory_desc_t matrix(std::int64_t rows, std::int64_t columns, dnnl_data_type_t type, std::int64_t row_stride,
                          std::int64_t column_stride) {
  dnnl_memory_desc_t made;
  const dnnl_dims_t sizes = {rows, columns}, strides = {row_stride, column_stride};
  require_onednn(onednn().memory_desc_init_by_strides(&made, 2, sizes, type, strides), "a matrix");
  return made;
}

/// The description of a product with w [k, n] laid out as `w` says.
dnnl_primitive_desc_t describe_product(OnednnTypes types, std::int64_t m, std::int64_t n, std::int64_t k,
                                       const dnnl_memory_desc_t& w) {
  const ElementTypes element = types_of(types);
  const dnnl_memory_desc_t a = matrix(m, k, element.a, k, 1), y = matrix(m, n, element.y, n, 1);
  dnnl_matmul_desc_t product;
  require_onednn(onednn().matmul_desc_init(&product, &a, &w, nullptr, &y), "a product");
  dnnl_primitive_desc_t made = nullptr;
  require_onednn(onednn().primitive_desc_create(&made, &product, nullptr, onednn_place().engine, nullptr), "a product");
  return made;
}

/// Before the weights stands how they lie; the struct is plain data in oneDNN 2.
constexpr std::int64_t kDescription = round_up(sizeof(dnnl_memory_desc_t), 64);

/// A product that is ready to run again and again. Lives as long as its thread.
struct Product {
  dnnl_primitive_t primitive = nullptr;
  dnnl_memory_t a = nullptr, w = nullptr, y = nullptr;
};

Product make_product(const OnednnCall& call) {
  dnnl_memory_desc_t w;
  std::memcpy(&w, call.w, sizeof w);
  if (call.types != OnednnTypes::s8_s8_s32) w.extra = {};
  const ElementTypes element = types_of(call.types);
  const dnnl_primitive_desc_t description = describe_product(call.types, call.m, call.n, call.k, w);
  Product made;
  require_onednn(onednn().primitive_create(&made.primitive, description), "a product");
  onednn().primitive_desc_destroy(description);
  made.a = onednn_memory(matrix(call.m, call.k, element.a, call.k, 1), DNNL_MEMORY_NONE);
  made.w = onednn_memory(w, DNNL_MEMORY_NONE);
  made.y = onednn_memory(matrix(call.m, call.n, element.y, call.n, 1), DNNL_MEMORY_NONE);
  return made;
}

}  // namespace

Buffer onednn_weights(OnednnTypes types, std::int64_t n, std::int64_t k, const void* w, std::int64_t front) {
  constexpr std::int64_t kManyRows = 512;
  const dnnl_data_type_t type = types_of(types).w;
  dnnl_memory_desc_t any;
  const dnnl_dims_t sizes = {k, n};
  require_onednn(onednn().memory_desc_init_by_tag(&any, 2, sizes, type, dnnl_format_tag_any), "weights");
  const dnnl_primitive_desc_t product = describe_product(types, kManyRows, n, k, any);
  const dnnl_memory_desc_t wanted = *onednn().primitive_desc_query_md(product, dnnl_query_weights_md, 0);
  onednn().primitive_desc_destroy(product);
  Buffer bytes(std::size_t(front + kDescription) + onednn().memory_desc_get_size(&wanted));
  std::memcpy(bytes.data() + front, &wanted, sizeof wanted);

  const dnnl_memory_desc_t given = matrix(k, n, type, 1, k);
  onednn_reorder(given, w, wanted, bytes.data() + front + kDescription);
  return bytes;
}

void onednn_multiply(const OnednnCall& call) {
  const LibraryThreads limit(call.threads);
  thread_local std::map<std::tuple<OnednnTypes, std::int64_t, std::int64_t, std::int64_t, int>, Product> kept;
  const auto [found, is_new] = kept.try_emplace({call.types, call.m, call.n, call.k, call.threads});
  Product& product = found->second;
  if (is_new) product = make_product(call);
  const auto* w = static_cast<const std::byte*>(call.w) + kDescription;
  onednn().memory_set_data_handle(product.a, const_cast<void*>(call.a));
  onednn().memory_set_data_handle(product.w, const_cast<std::byte*>(w));
  onednn().memory_set_data_handle(product.y, call.y);
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_SRC, product.a}, {DNNL_ARG_WEIGHTS, product.w}, {DNNL_ARG_DST, product.y}};
  QB_EXPECTS(onednn().primitive_execute(product.primitive, onednn_place().stream, 3, arguments) == dnnl_success);
  QB_EXPECTS(onednn().stream_wait(onednn_place().stream) == dnnl_success);
}

}  // namespace qb
