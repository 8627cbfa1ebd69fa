// Worker processes on this machine: started, watched, started again when they die, and ended.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace qb {

struct LocalLaunch {
  std::filesystem::path program;
  std::vector<std::string> arguments;  ///< `--name NAME --spool FOLDER` are added
  std::filesystem::path folder;        ///< receives worker-<n>.log and spool-<n>
  int count = 2;
  int restarts = 20;  ///< of one worker, in all
};

/// Each worker leads a process group of its own, so that Ctrl-C reaches the coordinator alone, and is killed when
/// the coordinator dies. Belongs to one thread, which must be the one that lives as long as the process.
class LocalWorkers {
 public:
  /// Throws InputError when the program is not there or cannot be started.
  LocalWorkers(LocalLaunch launch, std::int64_t now_ns);
  ~LocalWorkers();  ///< kills what still runs
  LocalWorkers(const LocalWorkers&) = delete;
  LocalWorkers& operator=(const LocalWorkers&) = delete;

  /// Names of the processes that ended since the last call. Starts others in their place when `replace`: at once, or
  /// after a pause that doubles when they end within 2 s of their start.
  std::vector<std::string> poll(bool replace, std::int64_t now_ns);
  int running() const;
  bool exhausted() const;          ///< none runs and none may be started again
  std::string last_words() const;  ///< the end of the log of the worker that ended last, for messages
  void signal(int number) const;   ///< to every process group that runs

 private:
  struct Slot {
    pid_t process = -1;
    std::string name;
    int starts = 0, quick_ends = 0;
    std::int64_t started_ns = 0, not_before_ns = 0;
  };
  void start(std::size_t index, std::int64_t now_ns);
  std::filesystem::path log_of(std::size_t index) const;

  LocalLaunch launch_;
  std::vector<Slot> slots_;
  std::size_t last_ended_ = 0;
};

}  // namespace qb
