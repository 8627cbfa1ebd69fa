// Samples that nobody has to download: drawn characters, a token stream, pictures of soft blobs, the same on every
// machine.
//
// The generators use integers and the IEEE operations + - * / sqrt only, no library function, so that a seed gives the
// same digest everywhere. Sample i of a split depends on the options, the split, the seed and i, never on the count or
// the number of threads; the splits "train", "calibration" and "test" draw from different random streams.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/json.h"
#include "models/dataset.h"

namespace qb {

/// How many samples "all" means for a generated split that has no end.
inline constexpr std::int64_t kGeneratedSplitSamples = 10000;

/// Drawn characters: grey images [count, 1, size, size] with values b / 255, b = 0..255.
struct GlyphsOptions {
  std::int64_t version = 1;   ///< of the drawing; 1 is the only one
  std::int64_t classes = 47;  ///< 2..47: the first ones of 0-9, A-Z, abdefghnqrt
  std::int64_t size = 20;     ///< 12..40 pixels on a side
  double affine = 0.16;       ///< 0..0.5: largest turn (radians, nearly), slant and relative change of either axis
  double shift = 1.25;        ///< 0..4 pixels either way
  double warp = 0.55;         ///< 0..3 pixels: deviation of a smooth random displacement
  double contrast = 0.45;     ///< 0.05..1: the least difference between ink and paper, as a part of the full range
  double noise = 22;          ///< 0..100 grey levels: deviation of the noise of each pixel
  double occlusion = 0.3;     ///< 0..1: probability that a bar of ink or paper lies over the character
  bool operator==(const GlyphsOptions&) const = default;
};

/// A stationary Markov chain over `vocabulary` tokens whose rules look `order` tokens back, seen through a window.
///
/// Inputs [count, window * vocabulary] are the one-hot tokens of the window, oldest first; the target is the next
/// token. Every sample starts from the stationary distribution, so that the expected log-likelihood of a target under
/// the true rules is minus the entropy rate exactly.
struct GrammarOptions {
  std::int64_t version = 1;
  std::int64_t vocabulary = 16;  ///< 2..64 tokens
  std::int64_t order = 2;        ///< 1..3; vocabulary^order <= 4096
  std::int64_t window = 4;       ///< order..16 tokens
  std::int64_t branches = 4;     ///< 1..vocabulary: how many tokens a context favours
  std::int64_t language = 1;     ///< 0..2^31-1: which rules
  bool operator==(const GrammarOptions&) const = default;
};

/// Pictures of soft blobs of colour, for models that come without data: bytes 0..255 in the shape of the model's input,
/// whose last two axes are rows and columns and whose others are colours. They show nothing that has a name: the
/// answers are those of the float model (load_dataset), and a share of right answers is the share of answers that are
/// still the same.
struct PicturesOptions {
  std::int64_t version = 1;
  std::int64_t ids = 0;    ///< up to 2^24; not 0: no pictures but whole numbers below it, for models that look them up
  std::int64_t blobs = 8;  ///< 0..64 per picture
  double contrast = 90;    ///< 0..1000 levels: deviation of a blob's strength
  double noise = 4;        ///< 0..100 levels: deviation of the noise of each value
  bool operator==(const PicturesOptions&) const = default;
};

/// Reads the options of a DatasetManifest of kind "glyphs" or "grammar", or those under "generated" of that kind.
/// Unknown keys and values out of range are errors.
GlyphsOptions glyphs_options(const Json& options, const std::string& where, Blame blame);
GrammarOptions grammar_options(const Json& options, const std::string& where, Blame blame);
PicturesOptions pictures_options(const Json& options, const std::string& where, Blame blame);

/// Canonical JSON with every option written out; reading it gives the same options back.
std::string to_text(const GlyphsOptions& options);
std::string to_text(const GrammarOptions& options);
std::string to_text(const PicturesOptions& options);

/// Samples 0 .. count - 1 of a split. Throws InputError for an unknown split or count < 1.
Dataset glyphs(const GlyphsOptions& options, const std::string& split, std::int64_t count, std::uint64_t seed,
               int threads = 1);
Dataset grammar(const GrammarOptions& options, const std::string& split, std::int64_t count, std::uint64_t seed);

/// Values [count, shape...] of samples without answers: u8, or i32 where they are ids.
Tensor pictures(const PicturesOptions& options, const Shape& shape, const std::string& split, std::int64_t count,
                std::uint64_t seed);

/// The character that class `index` draws, e.g. 'A'.
char glyph_name(std::int64_t index);

/// The rules behind grammar(): next-token probabilities as parts of 2^16, none of them zero.
struct GrammarRules {
  std::int64_t vocabulary = 0, order = 0;
  std::vector<std::uint32_t>
      parts;                       ///< [vocabulary^order, vocabulary]; a context is its tokens as digits, oldest first
  std::vector<double> stationary;  ///< [vocabulary^order]: how often each context occurs
  double entropy_rate_nats = 0;    ///< -sum over contexts and tokens of stationary * p * ln p
};
GrammarRules grammar_rules(const GrammarOptions& options);

}  // namespace qb
