#include "kernels/peers/onednn_library.h"

#include <fmt/format.h>

#include "kernels/base/error.h"
#include "kernels/peers/shared_library.h"

namespace qb {

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
    bind(library, "dnnl_memory_desc_equal", found.memory_desc_equal);
    bind(library, "dnnl_matmul_desc_init", found.matmul_desc_init);
    bind(library, "dnnl_convolution_forward_desc_init", found.convolution_forward_desc_init);
    bind(library, "dnnl_primitive_attr_create", found.primitive_attr_create);
    bind(library, "dnnl_primitive_attr_set_output_scales", found.primitive_attr_set_output_scales);
    bind(library, "dnnl_primitive_attr_destroy", found.primitive_attr_destroy);
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

void require_onednn(dnnl_status_t status, const char* what) {
  if (status != dnnl_success) throw Unsupported(fmt::format("oneDNN refuses {} (status {})", what, int(status)));
}

const OnednnPlace& onednn_place() {
  thread_local const OnednnPlace here = [] {
    static const dnnl_engine_t engine = [] {
      dnnl_engine_t made = nullptr;
      require_onednn(onednn().engine_create(&made, dnnl_cpu, 0), "an engine");
      return made;
    }();
    OnednnPlace made{engine, nullptr};
    require_onednn(onednn().stream_create(&made.stream, engine, dnnl_stream_default_flags), "a stream");
    return made;
  }();
  return here;
}

dnnl_memory_t onednn_memory(const dnnl_memory_desc_t& description, const void* data) {
  dnnl_memory_t made = nullptr;
  require_onednn(onednn().memory_create(&made, &description, onednn_place().engine, const_cast<void*>(data)),
                 "a memory");
  return made;
}

void onednn_reorder(const dnnl_memory_desc_t& given, const void* from, const dnnl_memory_desc_t& wanted, void* to) {
  dnnl_primitive_desc_t description = nullptr;
  const dnnl_engine_t engine = onednn_place().engine;
  require_onednn(onednn().reorder_primitive_desc_create(&description, &given, engine, &wanted, engine, nullptr),
                 "a layout");
  dnnl_primitive_t reorder = nullptr;
  require_onednn(onednn().primitive_create(&reorder, description), "a layout");
  onednn().primitive_desc_destroy(description);
  const dnnl_memory_t source = onednn_memory(given, from), target = onednn_memory(wanted, to);
  const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, target}};
  require_onednn(onednn().primitive_execute(reorder, onednn_place().stream, 2, arguments), "a layout");
  require_onednn(onednn().stream_wait(onednn_place().stream), "a layout");
  onednn().memory_destroy(source);
  onednn().memory_destroy(target);
  onednn().primitive_destroy(reorder);
}

std::string describe_onednn() {
  const dnnl_version_t* version = onednn().version();
  return fmt::format("oneDNN {}.{}.{}", version->major, version->minor, version->patch);
}

}  // namespace qb
