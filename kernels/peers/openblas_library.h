// The few functions of OpenBLAS that are used.
#pragma once
#include <cblas.h>

#include <string>

namespace qb {

struct Openblas {
  decltype(cblas_sgemm)* sgemm;
  decltype(cblas_sgemv)* sgemv;
  decltype(openblas_get_config)* get_config;
  decltype(openblas_get_corename)* get_corename;
};

/// Loads the library on the first call, with one thread per caller. Throws Unsupported when it cannot be loaded.
const Openblas& openblas();

std::string describe_openblas();  ///< "OpenBLAS 0.3.21, core SkylakeX"; loads it

}  // namespace qb
