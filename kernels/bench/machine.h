// The machine that a table was measured on, in the words of its operating system.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "kernels/peers/peers.h"

namespace qb {

/// Names and values, in the order to show them: processor, instructions, caches, compiler, load, peers.
using MachineFacts = std::vector<std::pair<std::string, std::string>>;

/// `cores` as choose_openblas_core() gave them. Peers that cannot be loaded say so.
MachineFacts machine_facts(const std::vector<OpenblasCore>& cores);

}  // namespace qb
