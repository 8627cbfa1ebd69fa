#include "harness/commands.h"

int main(int argc, char** argv) { return qb::quantbench_main(argc, argv); }
