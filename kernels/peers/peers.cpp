#include "kernels/peers/peers.h"

#ifdef QB_OPENBLAS_FILE
#include "kernels/peers/openblas_library.h"
#endif
#ifdef QB_ONEDNN_FILE
#include "kernels/peers/onednn_matmul.h"
#endif

namespace qb {

std::string describe_peer([[maybe_unused]] const KernelInfo& kernel) {
#ifdef QB_OPENBLAS_FILE
  if (kernel.peer && kernel.name.ends_with("_openblas")) return describe_openblas();
#endif
#ifdef QB_ONEDNN_FILE
  if (kernel.peer && kernel.name.ends_with("_onednn")) return describe_onednn();
#endif
  return {};
}

#ifndef QB_OPENBLAS_FILE
std::vector<OpenblasCore> choose_openblas_core() { return {}; }
#endif

}  // namespace qb
