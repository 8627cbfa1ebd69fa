// The block types' own functions, one file per type; used through the table of block_types.h.
//
// unpack_X reads any bytes; pack_X(unpack_X(block)) == block but for bits that have no meaning.
#pragma once
#include <cstdint>

#include "kernels/gguf_blocks/block_types.h"

namespace qb {

void quantize_q1_0(const BlockInput& input, std::uint8_t* block);
void unpack_q1_0(const std::uint8_t* block, BlockParts& parts);
void pack_q1_0(const BlockParts& parts, std::uint8_t* block);

void quantize_q2_0(const BlockInput& input, std::uint8_t* block);
void unpack_q2_0(const std::uint8_t* block, BlockParts& parts);
void pack_q2_0(const BlockParts& parts, std::uint8_t* block);

void quantize_q4_0(const BlockInput& input, std::uint8_t* block);
void unpack_q4_0(const std::uint8_t* block, BlockParts& parts);
void pack_q4_0(const BlockParts& parts, std::uint8_t* block);

void quantize_q4_1(const BlockInput& input, std::uint8_t* block);
void unpack_q4_1(const std::uint8_t* block, BlockParts& parts);
void pack_q4_1(const BlockParts& parts, std::uint8_t* block);

void quantize_q5_0(const BlockInput& input, std::uint8_t* block);
void unpack_q5_0(const std::uint8_t* block, BlockParts& parts);
void pack_q5_0(const BlockParts& parts, std::uint8_t* block);

void quantize_q5_1(const BlockInput& input, std::uint8_t* block);
void unpack_q5_1(const std::uint8_t* block, BlockParts& parts);
void pack_q5_1(const BlockParts& parts, std::uint8_t* block);

void quantize_q8_0(const BlockInput& input, std::uint8_t* block);
void unpack_q8_0(const std::uint8_t* block, BlockParts& parts);
void pack_q8_0(const BlockParts& parts, std::uint8_t* block);

void quantize_q2_K(const BlockInput& input, std::uint8_t* block);
void unpack_q2_K(const std::uint8_t* block, BlockParts& parts);
void pack_q2_K(const BlockParts& parts, std::uint8_t* block);

void quantize_q3_K(const BlockInput& input, std::uint8_t* block);
void unpack_q3_K(const std::uint8_t* block, BlockParts& parts);
void pack_q3_K(const BlockParts& parts, std::uint8_t* block);

void quantize_q4_K(const BlockInput& input, std::uint8_t* block);
void unpack_q4_K(const std::uint8_t* block, BlockParts& parts);
void pack_q4_K(const BlockParts& parts, std::uint8_t* block);

void quantize_q5_K(const BlockInput& input, std::uint8_t* block);
void unpack_q5_K(const std::uint8_t* block, BlockParts& parts);
void pack_q5_K(const BlockParts& parts, std::uint8_t* block);

void quantize_q6_K(const BlockInput& input, std::uint8_t* block);
void unpack_q6_K(const std::uint8_t* block, BlockParts& parts);
void pack_q6_K(const BlockParts& parts, std::uint8_t* block);

void quantize_iq4_nl(const BlockInput& input, std::uint8_t* block);
void unpack_iq4_nl(const std::uint8_t* block, BlockParts& parts);
void pack_iq4_nl(const BlockParts& parts, std::uint8_t* block);

void quantize_iq4_xs(const BlockInput& input, std::uint8_t* block);
void unpack_iq4_xs(const std::uint8_t* block, BlockParts& parts);
void pack_iq4_xs(const BlockParts& parts, std::uint8_t* block);

void quantize_tq1_0(const BlockInput& input, std::uint8_t* block);
void unpack_tq1_0(const std::uint8_t* block, BlockParts& parts);
void pack_tq1_0(const BlockParts& parts, std::uint8_t* block);

void quantize_tq2_0(const BlockInput& input, std::uint8_t* block);
void unpack_tq2_0(const std::uint8_t* block, BlockParts& parts);
void pack_tq2_0(const BlockParts& parts, std::uint8_t* block);

void quantize_mxfp4(const BlockInput& input, std::uint8_t* block);
void unpack_mxfp4(const std::uint8_t* block, BlockParts& parts);
void pack_mxfp4(const BlockParts& parts, std::uint8_t* block);

void quantize_nvfp4(const BlockInput& input, std::uint8_t* block);
void unpack_nvfp4(const std::uint8_t* block, BlockParts& parts);
void pack_nvfp4(const BlockParts& parts, std::uint8_t* block);

void quantize_q8_1(const BlockInput& input, std::uint8_t* block);
void unpack_q8_1(const std::uint8_t* block, BlockParts& parts);

void quantize_q8_K(const BlockInput& input, std::uint8_t* block);
void unpack_q8_K(const std::uint8_t* block, BlockParts& parts);

/// IQ4_NL as ggml writes it where speed matters (its row reference): without the search over scales and without
/// importances. Other bytes than quantize_iq4_nl.
void quantize_iq4_nl_quick(const BlockInput& input, std::uint8_t* block);

}  // namespace qb
