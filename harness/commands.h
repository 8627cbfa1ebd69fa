// The program quantbench, as a function.
#pragma once

namespace qb {

/// Exit codes: 0 done, 2 input, 3 data, 4 some units failed, 130 interrupted.
int quantbench_main(int argc, char** argv);

}  // namespace qb
