#include "workers/worker_main.h"

int main(int argc, char** argv) { return qb::worker_main(argc, argv); }
