// The truth of a run while it lasts: every grant and every result, in SQLite, before anybody is told of it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "harness/scheduler.h"

namespace qb {

/// The journal could not be written for now, e.g. because the disk is full. Nothing is lost: what was to be written is
/// kept in memory and goes out with the next commit that works.
struct StorageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct JournalHeader {
  std::string run_id, plan_digest, study_name, study_text, build, created_utc;
};

struct JournalWorker {
  Scheduler::Worker worker = 0;
  std::string id, name, profile;  ///< profile: canonical JSON
};

/// One file; write-ahead log, synced at each commit; used by one process at a time, which holds a lock on it.
///
/// Writes are collected and reach the disk together with commit(): one transaction, one sync. After a commit that
/// returned, power may fail. A commit that throws StorageError has changed nothing; the collected writes stay.
class Journal {
 public:
  /// Opens or creates. Throws InputError when it belongs to another plan, is in use, or cannot be created; DataError
  /// when its bytes are damaged.
  Journal(const std::filesystem::path& path, const JournalHeader& header);
  Journal(Journal&&) noexcept;
  ~Journal();

  const JournalHeader& header() const { return header_; }  ///< as first written; `created_utc` and `build` too

  void add_worker(const JournalWorker& worker);
  void add_attempt(Scheduler::Unit unit, std::int64_t epoch, Scheduler::Worker worker);
  void end_attempt(std::int64_t epoch, AttemptEnd end);
  /// What was received under `epoch` and what became of it; `measurement` is JSON in one line.
  void add_result(Scheduler::Unit unit, std::int64_t epoch, std::uint64_t digest, ResultDecision decision,
                  std::string measurement);
  /// The unit's record, once; `utc` is when.
  void settle(Scheduler::Unit unit, std::int64_t epoch, std::string measurement, std::string utc);

  std::size_t pending() const;  ///< writes collected and not yet committed
  void commit();                ///< throws StorageError

  std::vector<JournalWorker> workers() const;
  /// Calls back for every attempt in rising epoch, results included.
  void attempts(const std::function<void(Scheduler::Unit, const Scheduler::Attempt&)>& each) const;
  void settled(
      const std::function<void(Scheduler::Unit, std::string_view measurement)>& each) const;  ///< in rising unit
  std::int64_t settled_count() const;
  std::int64_t shadow_count() const;
  std::string last_settled_utc() const;  ///< "" when nothing is settled

 private:
  struct Database;
  struct Write;
  void open(const std::filesystem::path& path);
  void create_or_compare(const JournalHeader& header);

  std::string path_;
  std::unique_ptr<Database> database_;
  std::vector<Write> writes_;
  JournalHeader header_;
};

}  // namespace qb
