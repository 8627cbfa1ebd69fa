// HDF5 identifiers that cannot leak or be invalid, and the library's own words for a failure.
#pragma once
#include <hdf5.h>

#include <string>
#include <string_view>
#include <utility>

namespace qb {

/// What the library last complained of on this thread: its innermost message; "no reason given" when there is none.
std::string last_hdf5_error();

/// Ends printing of errors by the library on this thread, and loading of filter plugins in this process. Cheap.
void quiet_hdf5();

/// Owns one HDF5 identifier of any kind and closes it with the function it was opened for.
///
/// Move-only; after a move the source owns nothing. A failed open never becomes a handle: the constructor throws
/// DataError naming `what`, so an object of this type is always valid until it is moved from.
class Hdf5Handle {
 public:
  using Close = herr_t (*)(hid_t);

  Hdf5Handle(hid_t id, Close close, std::string_view what);
  Hdf5Handle(Hdf5Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Hdf5Handle() {
    if (id_ >= 0) close_(id_);
  }
  hid_t id() const { return id_; }

 private:
  hid_t id_;
  Close close_;
};

/// Throws DataError "HDF5 could not <what>: <reason>" for a negative status.
void check_hdf5(herr_t status, std::string_view what);

}  // namespace qb
