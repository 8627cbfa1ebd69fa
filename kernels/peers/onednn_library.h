// The few functions of oneDNN 2 that are used, and its places for work.
#pragma once
#include <oneapi/dnnl/dnnl.h>

#include <string>

namespace qb {

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
  decltype(dnnl_memory_desc_equal)* memory_desc_equal;
  decltype(dnnl_matmul_desc_init)* matmul_desc_init;
  decltype(dnnl_convolution_forward_desc_init)* convolution_forward_desc_init;
  decltype(dnnl_primitive_attr_create)* primitive_attr_create;
  decltype(dnnl_primitive_attr_set_output_scales)* primitive_attr_set_output_scales;
  decltype(dnnl_primitive_attr_destroy)* primitive_attr_destroy;
  decltype(dnnl_reorder_primitive_desc_create)* reorder_primitive_desc_create;
  decltype(dnnl_primitive_desc_create)* primitive_desc_create;
  decltype(dnnl_primitive_desc_query_md)* primitive_desc_query_md;
  decltype(dnnl_primitive_desc_destroy)* primitive_desc_destroy;
  decltype(dnnl_primitive_create)* primitive_create;
  decltype(dnnl_primitive_execute)* primitive_execute;
  decltype(dnnl_primitive_destroy)* primitive_destroy;
  decltype(dnnl_memory_destroy)* memory_destroy;
};

/// Loads the library on the first call. Throws Unsupported when it cannot be loaded.
const Onednn& onednn();

std::string describe_onednn();  ///< "oneDNN 2.6.3"; loads it

void require_onednn(dnnl_status_t status, const char* what);  ///< throws Unsupported naming what oneDNN has refused

/// The processor as oneDNN's engine, and a stream of this thread.
struct OnednnPlace {
  dnnl_engine_t engine = nullptr;
  dnnl_stream_t stream = nullptr;
};

const OnednnPlace& onednn_place();

dnnl_memory_t onednn_memory(const dnnl_memory_desc_t& description, const void* data);

/// Copies `from` to `to` in its layout and type, once.
void onednn_reorder(const dnnl_memory_desc_t& given, const void* from, const dnnl_memory_desc_t& wanted, void* to);

}  // namespace qb
