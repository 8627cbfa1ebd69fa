# Writes OUTPUT, a header that names the sources that all programs of this build are made from. Run at build time, so that
# programs that were built together say so, and the file is touched only when a source has changed.
cmake_policy(VERSION 3.25)
file(GLOB_RECURSE sources LIST_DIRECTORIES false RELATIVE ${SOURCE_DIR}
  ${SOURCE_DIR}/kernels/* ${SOURCE_DIR}/models/* ${SOURCE_DIR}/quantizers/* ${SOURCE_DIR}/workers/* ${SOURCE_DIR}/reports/*
  ${SOURCE_DIR}/harness/* ${SOURCE_DIR}/cmake/*.cmake)
list(SORT sources)
set(all "")
foreach(source IN LISTS sources)
  if(NOT source MATCHES "\\.md$")
    file(SHA256 ${SOURCE_DIR}/${source} digest)
    string(APPEND all "${source} ${digest}\n")
  endif()
endforeach()
string(SHA256 digest "${all}")
string(SUBSTRING ${digest} 0 16 digest)
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT
"#pragma once
#define QB_SOURCE_DIGEST \"@digest@\"
")
