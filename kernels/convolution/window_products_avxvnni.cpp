#include "kernels/convolution/code_window_quads_256.h"

namespace qb {

void window_products_avxvnni(const WindowProductsArgs& args) { fill_code_panels<QuadStep>(args); }

}  // namespace qb
