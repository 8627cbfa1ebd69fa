#include "kernels/peers/onednn_matmul.h"

#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.h>

#include <cstring>
#include <map>
#include <tuple>

#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "kernels/panels.h"
#include "kernels/peers/shared_library.h"

namespace qb {

namespace {

/// The functions of oneDNN that are used, each under its own name without the prefix.
struct Onednn {
  decltype(dnnl_version)* version;
  decltype(dnnl_engine_create)* engine_create;
  decltype(dnnl_stream_create)* stream_create;
  decltype(dnnl_stream_wait)* stream_wait;
  decltype(dnnl_memory_desc_init_by_strides)* memory_desc_init_by_strides;
  decltype(dnnl_memory_desc_init_by_tag)* memory_desc_init_by_tag;
  decltype(dnnl_memory_desc_get_size)* memory_desc_get_size;
  decltype(dnnl_memory_create)* memory_create;
  decltype(dnnl_memory_set_data_handle)* memory_set_data_handle;
  decltype(dnnl_matmul_desc_init)* matmul_desc_init;
  decltype(dnnl_reorder_primitive_desc_create)* reorder_primitive_desc_create;
  decltype(dnnl_primitive_desc_create)* primitive_desc_create;
  decltype(dnnl_primitive_desc_query_md)* primitive_desc_query_md;
  decltype(dnnl_primitive_desc_destroy)* primitive_desc_destroy;
  decltype(dnnl_primitive_create)* primitive_create;
  decltype(dnnl_primitive_execute)* primitive_execute;
  decltype(dnnl_primitive_destroy)* primitive_destroy;
  decltype(dnnl_memory_destroy)* memory_destroy;
};

const Onednn& onednn() {
  static const Onednn functions = [] {
    void* library = load_library(QB_ONEDNN_FILE, "libdnnl2");
    Onednn found{};
    bind(library, "dnnl_version", found.version);
    bind(library, "dnnl_engine_create", found.engine_create);
    bind(library, "dnnl_stream_create", found.stream_create);
    bind(library, "dnnl_stream_wait", found.stream_wait);
    bind(library, "dnnl_memory_desc_init_by_strides", found.memory_desc_init_by_strides);
    bind(library, "dnnl_memory_desc_init_by_tag", found.memory_desc_init_by_tag);
    bind(library, "dnnl_memory_desc_get_size", found.memory_desc_get_size);
    bind(library, "dnnl_memory_create", found.memory_create);
    bind(library, "dnnl_memory_set_data_handle", found.memory_set_data_handle);
    bind(library, "dnnl_matmul_desc_init", found.matmul_desc_init);
    bind(library, "dnnl_reorder_primitive_desc_create", found.reorder_primitive_desc_create);
    bind(library, "dnnl_primitive_desc_create", found.primitive_desc_create);
    bind(library, "dnnl_primitive_desc_query_md", found.primitive_desc_query_md);
    bind(library, "dnnl_primitive_desc_destroy", found.primitive_desc_destroy);
    bind(library, "dnnl_primitive_create", found.primitive_create);
    bind(library, "dnnl_primitive_execute", found.primitive_execute);
    bind(library, "dnnl_primitive_destroy", found.primitive_destroy);
    bind(library, "dnnl_memory_destroy", found.memory_destroy);
    return found;
  }();
  return functions;
}

void require(dnnl_status_t status, const char* what) {
  if (status != dnnl_success) throw Unsupported(fmt::format("oneDNN refuses {} (status {})", what, int(status)));
}

/// The processor as oneDNN's engine, and a stream of this thread.
struct Place {
  dnnl_engine_t engine = nullptr;
  dnnl_stream_t stream = nullptr;
};

const Place& place() {
  thread_local const Place here = [] {
    static const dnnl_engine_t engine = [] {
      dnnl_engine_t made = nullptr;
      require(onednn().engine_create(&made, dnnl_cpu, 0), "an engine");
      return made;
    }();
    Place made{engine, nullptr};
    require(onednn().stream_create(&made.stream, engine, dnnl_stream_default_flags), "a stream");
    return made;
  }();
  return here;
}

struct ElementTypes {
  dnnl_data_type_t a, w, y;
};

ElementTypes types_of(OnednnTypes types) {
  switch (types) {
    case OnednnTypes::f32: return {dnnl_f32, dnnl_f32, dnnl_f32};
    case OnednnTypes::bf16: return {dnnl_bf16, dnnl_bf16, dnnl_f32};
    case OnednnTypes::u8_s8_s32: return {dnnl_u8, dnnl_s8, dnnl_s32};
  }
  return {dnnl_f32, dnnl_f32, dnnl_f32};
}

dnnl_memory_desc_t matrix(std::int64_t rows, std::int64_t columns, dnnl_data_type_t type, std::int64_t row_stride,
                          std::int64_t column_stride) {
  dnnl_memory_desc_t made;
  const dnnl_dims_t sizes = {rows, columns}, strides = {row_stride, column_stride};
  require(onednn().memory_desc_init_by_strides(&made, 2, sizes, type, strides), "a matrix");
  return made;
}

/// The description of a product with w [k, n] laid out as `w` says.
dnnl_primitive_desc_t describe_product(OnednnTypes types, std::int64_t m, std::int64_t n, std::int64_t k,
                                       const dnnl_memory_desc_t& w) {
  const ElementTypes element = types_of(types);
  const dnnl_memory_desc_t a = matrix(m, k, element.a, k, 1), y = matrix(m, n, element.y, n, 1);
  dnnl_matmul_desc_t product;
  require(onednn().matmul_desc_init(&product, &a, &w, nullptr, &y), "a product");
  dnnl_primitive_desc_t made = nullptr;
  require(onednn().primitive_desc_create(&made, &product, nullptr, place().engine, nullptr), "a product");
  return made;
}

dnnl_memory_t memory_at(const dnnl_memory_desc_t& description, const void* data) {
  dnnl_memory_t made = nullptr;
  require(onednn().memory_create(&made, &description, place().engine, const_cast<void*>(data)), "a memory");
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
  const ElementTypes element = types_of(call.types);
  const dnnl_primitive_desc_t description = describe_product(call.types, call.m, call.n, call.k, w);
  Product made;
  require(onednn().primitive_create(&made.primitive, description), "a product");
  onednn().primitive_desc_destroy(description);
  made.a = memory_at(matrix(call.m, call.k, element.a, call.k, 1), DNNL_MEMORY_NONE);
  made.w = memory_at(w, DNNL_MEMORY_NONE);
  made.y = memory_at(matrix(call.m, call.n, element.y, call.n, 1), DNNL_MEMORY_NONE);
  return made;
}

}  // namespace

Buffer onednn_weights(OnednnTypes types, std::int64_t n, std::int64_t k, const void* w, std::int64_t front) {
  constexpr std::int64_t kManyRows = 512;
  const dnnl_data_type_t type = types_of(types).w;
  dnnl_memory_desc_t any;
  const dnnl_dims_t sizes = {k, n};
  require(onednn().memory_desc_init_by_tag(&any, 2, sizes, type, dnnl_format_tag_any), "weights");
  const dnnl_primitive_desc_t product = describe_product(types, kManyRows, n, k, any);
  const dnnl_memory_desc_t wanted = *onednn().primitive_desc_query_md(product, dnnl_query_weights_md, 0);
  onednn().primitive_desc_destroy(product);
  Buffer bytes(std::size_t(front + kDescription) + onednn().memory_desc_get_size(&wanted));
  std::memcpy(bytes.data() + front, &wanted, sizeof wanted);

  const dnnl_memory_desc_t given = matrix(k, n, type, 1, k);
  dnnl_primitive_desc_t description = nullptr;
  const dnnl_engine_t engine = place().engine;
  require(onednn().reorder_primitive_desc_create(&description, &given, engine, &wanted, engine, nullptr), "a layout");
  dnnl_primitive_t reorder = nullptr;
  require(onednn().primitive_create(&reorder, description), "a layout");
  onednn().primitive_desc_destroy(description);
  const dnnl_memory_t from = memory_at(given, w), to = memory_at(wanted, bytes.data() + front + kDescription);
  const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
  require(onednn().primitive_execute(reorder, place().stream, 2, arguments), "a layout");
  require(onednn().stream_wait(place().stream), "a layout");
  onednn().memory_destroy(from);
  onednn().memory_destroy(to);
  onednn().primitive_destroy(reorder);
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
  QB_EXPECTS(onednn().primitive_execute(product.primitive, place().stream, 3, arguments) == dnnl_success);
  QB_EXPECTS(onednn().stream_wait(place().stream) == dnnl_success);
}

std::string describe_onednn() {
  const dnnl_version_t* version = onednn().version();
  return fmt::format("oneDNN {}.{}.{}", version->major, version->minor, version->patch);
}

}  // namespace qb
