#include "reports/record/hdf5_handle.h"

#include <fmt/format.h>

#include "kernels/base/error.h"

namespace qb {

std::string last_hdf5_error() {
  std::string innermost = "no reason given";
  const auto keep = [](unsigned, const H5E_error2_t* error, void* out) -> herr_t {
    if (error->desc && *error->desc) *static_cast<std::string*>(out) = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep, &innermost);
  return innermost;
}

void quiet_hdf5() {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  H5PLset_loading_state(0);
}

Hdf5Handle::Hdf5Handle(hid_t id, Close close, std::string_view what) : id_(id), close_(close) {
  if (id_ < 0) throw DataError(fmt::format("HDF5 could not open {}: {}", what, last_hdf5_error()));
}

void check_hdf5(herr_t status, std::string_view what) {
  if (status < 0) throw DataError(fmt::format("HDF5 could not {}: {}", what, last_hdf5_error()));
}

}  // namespace qb
