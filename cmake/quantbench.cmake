# Instruction-set flags follow from the file name: gemm_s8_q4_avx2.cpp gets the AVX2 flags and nothing else does. A name
# without such a suffix is portable code. There is no -march=native anywhere: a binary means the same on every machine.
set(QB_FLAGS_avx2 -mavx2 -mfma -mf16c)
set(QB_FLAGS_avxvnni ${QB_FLAGS_avx2} -mavxvnni)
# gcc 12 takes the undefined operands inside its own AVX-512 intrinsics for mistakes of ours (its bug 105593).
set(QB_FLAGS_avx512 ${QB_FLAGS_avx2} -mavx512f -mavx512bw -mavx512vl -mavx512dq -Wno-uninitialized -Wno-maybe-uninitialized)
set(QB_FLAGS_avx512vnni ${QB_FLAGS_avx512} -mavx512vnni)
set(QB_FLAGS_avx512bf16 ${QB_FLAGS_avx512} -mavx512bf16)
set(QB_FLAGS_avx512vbmi ${QB_FLAGS_avx512vnni} -mavx512vbmi)

function(qb_isa_flags)
  foreach(file IN LISTS ARGN)
    if(file MATCHES "_(avx2|avxvnni|avx512|avx512vnni|avx512bf16|avx512vbmi)\\.cpp$")
      set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS "${QB_FLAGS_${CMAKE_MATCH_1}}")
    endif()
  endforeach()
endfunction()

# qb_library(name SOURCES a.cpp ... LINKS lib ...): one static library per folder.
function(qb_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINKS")
  if(arg_SOURCES)
    add_library(${name} STATIC ${arg_SOURCES})
    target_link_libraries(${name} PUBLIC ${arg_LINKS})
    qb_isa_flags(${arg_SOURCES})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${arg_LINKS})
  endif()
endfunction()

# qb_test_program(layer SOURCES a.cpp ... LINKS lib ... [SANITIZED] [SLOW stem ...] [THREADED stem ...]): one doctest program
# per layer, one ctest entry per source file. SANITIZED says that the address/undefined sanitizer preset runs it too, but for
# the SLOW files; THREADED names the files in which threads meet, which the thread sanitizer preset runs.
# A file in which no test case matched fails: a test that does not run has not passed.
function(qb_test_program layer)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SANITIZED" "" "SOURCES;LINKS;SLOW;THREADED")
  if(NOT arg_SOURCES)
    return()
  endif()
  set(program test-${layer})
  add_executable(${program} ${CMAKE_SOURCE_DIR}/tests/test_main.cpp ${arg_SOURCES})
  target_link_libraries(${program} PRIVATE ${arg_LINKS} doctest::doctest fmt::fmt)
  target_compile_definitions(${program} PRIVATE
    QB_SOURCE_ROOT="${CMAKE_SOURCE_DIR}" QB_SHARED_ROOT="${QB_SHARED}" QB_BINARY_ROOT="${CMAKE_BINARY_DIR}/bin")
  if(arg_SANITIZED)
    set_property(GLOBAL APPEND PROPERTY QB_sanitized_PROGRAMS ${program})
  endif()
  if(arg_THREADED)
    set_property(GLOBAL APPEND PROPERTY QB_threaded_PROGRAMS ${program})
  endif()
  foreach(source IN LISTS arg_SOURCES)
    get_filename_component(stem ${source} NAME_WE)
    set(labels ${layer})
    if(arg_SANITIZED AND NOT stem IN_LIST arg_SLOW)
      list(APPEND labels sanitized)
    endif()
    if(stem IN_LIST arg_THREADED)
      list(APPEND labels threaded)
    endif()
    add_test(NAME ${layer}/${stem} COMMAND ${program} --source-file=*/${stem}.cpp)
    set_tests_properties(${layer}/${stem} PROPERTIES FAIL_REGULAR_EXPRESSION "test cases: +0 " TIMEOUT 600 LABELS "${labels}")
  endforeach()
endfunction()
