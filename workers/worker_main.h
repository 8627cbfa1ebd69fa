// The program quantbench-worker, as a function: a test program with other kernels is the same program.
#pragma once

namespace qb {

/// Exit codes: 0 done, 2 input, 3 data, 4 the one unit of --unit is not ok.
int worker_main(int argc, char** argv);

}  // namespace qb
