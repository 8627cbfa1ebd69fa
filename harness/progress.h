// One line that says how a run is doing.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "harness/coordinator.h"

namespace qb {

/// "12/60 settled, 1 failed | 0.8 units/s, 1 min left | glyphs-cnn rtn:w4 avx2 best b1: judging | ...", at most `width`
/// columns. Faults of the journal and units that nobody accepts stand first.
std::string progress_line(const Coordinator& coordinator, int width, std::int64_t now_ns);

/// "45 s", "12 min", "3.5 h"; "unknown" for NaN.
std::string time_left_text(double seconds);

/// Shows lines on standard error: on a terminal one line that is written over, else a plain line now and then.
class ProgressDisplay {
 public:
  ProgressDisplay();
  bool due(std::int64_t now_ns) const;
  int width() const { return terminal_ ? width_ : 240; }
  void show(const std::string& line, std::int64_t now_ns);
  void say(const std::string& line);  ///< a line that stays
  void clear();

 private:
  bool terminal_;
  int width_;
  bool shown_ = false;
  std::int64_t last_ns_ = 0;
  std::string last_;
};

}  // namespace qb
