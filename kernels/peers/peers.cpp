#include "kernels/peers/peers.h"

#include "kernels/peers/attention.h"
#include "kernels/peers/convolution.h"

#ifdef QB_OPENBLAS_FILE
#include "kernels/peers/openblas_library.h"
#endif
#ifdef QB_ONEDNN_FILE
#include "kernels/peers/onednn_library.h"
#endif

namespace qb {

std::string describe_peer([[maybe_unused]] const KernelInfo& kernel) {
#ifdef QB_OPENBLAS_FILE
  if (kernel.peer && kernel.name.ends_with("_openblas")) return describe_openblas();
#endif
#ifdef QB_ONEDNN_FILE
  if (kernel.peer && kernel.name.find("_onednn") != std::string_view::npos) return describe_onednn();
#endif
  return {};
}

#ifndef QB_OPENBLAS_FILE
std::vector<OpenblasCore> choose_openblas_core() { return {}; }
bool has_openblas() { return false; }
void attention_openblas(const AttentionCall&, std::vector<std::vector<float>>&) {}
#endif

#ifdef QB_ONEDNN_FILE
bool has_onednn() { return true; }
#else
bool has_onednn() { return false; }
PeerConvolution onednn_convolution(const OnednnConvolutionCase&) { return {}; }
#endif

}  // namespace qb
