#include "harness/journal.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <bit>
#include <utility>

#include "harness/sqlite.h"
#include "kernels/base/error.h"

namespace qb {

namespace {

constexpr std::string_view kFormat = "quantbench-journal-1";

constexpr const char* kSchema = R"(
  CREATE TABLE IF NOT EXISTS header (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS workers (worker INTEGER PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL, profile TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS attempts (epoch INTEGER PRIMARY KEY, unit INTEGER NOT NULL, worker INTEGER NOT NULL, ended INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS results (epoch INTEGER NOT NULL, digest INTEGER NOT NULL, unit INTEGER NOT NULL,
    decision INTEGER NOT NULL, measurement TEXT NOT NULL, PRIMARY KEY (epoch, digest)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS settled (unit INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, utc TEXT NOT NULL, measurement TEXT NOT NULL);
)";

bool damaged(int code) { return code == SQLITE_CORRUPT || code == SQLITE_NOTADB; }

[[noreturn]] void refuse_damaged(const std::string& path, const std::string& words) {
  throw DataError(fmt::format("journal '{}' is damaged ({}); move it away to begin the run anew", path, words));
}

/// Runs `body` on a journal that is being opened or read; SQLite's complaints become ours.
template <class Body>
auto reading(const std::string& path, Body body) {
  try {
    return body();
  } catch (const SqliteError& error) {
    if (damaged(error.code)) refuse_damaged(path, error.words);
    if (error.code == SQLITE_BUSY || error.code == SQLITE_LOCKED)
      throw InputError(
          fmt::format("journal '{}' is in use by another quantbench process; let that one end first", path));
    throw InputError(fmt::format("journal '{}' cannot be used: {}", path, error.words));
  }
}

}  // namespace

/// The connection and the statements that run often.
struct Journal::Database {
  explicit Database(const std::filesystem::path& path) : connection(path), begin(prepared("BEGIN IMMEDIATE")) {}
  SqliteConnection connection;
  SqliteStatement begin;  ///< made first: it makes the tables
  SqliteStatement add_worker{prepare("INSERT OR REPLACE INTO workers VALUES (?,?,?,?)")};
  SqliteStatement add_attempt{prepare("INSERT INTO attempts VALUES (?,?,?,0)")};
  SqliteStatement end_attempt{prepare("UPDATE attempts SET ended=? WHERE epoch=?")};
  SqliteStatement add_result{prepare("INSERT OR IGNORE INTO results VALUES (?,?,?,?,?)")};
  SqliteStatement settle{prepare("INSERT INTO settled VALUES (?,?,?,?)")};

 private:
  SqliteStatement prepare(const char* sql) { return {connection, sql}; }
  /// Makes the tables unless they are there, then the statement.
  SqliteStatement prepared(const char* sql) {
    // A lock held for as long as the connection lives, and no shared-memory file.
    connection.execute("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;");
    connection.execute("BEGIN EXCLUSIVE");
    connection.execute(kSchema);
    connection.execute("COMMIT");
    return prepare(sql);
  }
};

/// One collected write. `text` and `more` are what its kind needs.
struct Journal::Write {
  enum class Kind { worker, attempt, end, result, settle } kind;
  std::int64_t unit = 0, epoch = 0, number = 0, digest = 0;
  std::string text, more, name;
};

Journal::Journal(const std::filesystem::path& path, const JournalHeader& header) : path_(path.string()) {
  reading(path_, [&] {
    open(path);
    create_or_compare(header);
  });
}
Journal::Journal(Journal&&) noexcept = default;
Journal::~Journal() = default;

void Journal::open(const std::filesystem::path& path) {
  database_ = std::make_unique<Database>(path);
  SqliteStatement check(database_->connection, "PRAGMA quick_check(1)");
  if (!check.step() || check.text(0) != "ok") refuse_damaged(path_, std::string(check.text(0)));
}

void Journal::create_or_compare(const JournalHeader& header) {
  const std::pair<const char*, std::string JournalHeader::*> kFields[] = {
      {"run_id", &JournalHeader::run_id},         {"plan_digest", &JournalHeader::plan_digest},
      {"study_name", &JournalHeader::study_name}, {"study_text", &JournalHeader::study_text},
      {"build", &JournalHeader::build},           {"created_utc", &JournalHeader::created_utc}};
  SqliteStatement get(database_->connection, "SELECT value FROM header WHERE key=?");
  if (!get.bind(std::string_view("format")).step()) {
    get.reset();
    database_->connection.execute("BEGIN IMMEDIATE");
    SqliteStatement put(database_->connection, "INSERT INTO header VALUES (?,?)");
    put.bind(std::string_view("format"), kFormat).run();
    for (const auto& [key, member] : kFields) put.bind(std::string_view(key), std::string_view(header.*member)).run();
    database_->connection.execute("COMMIT");
    header_ = header;
    return;
  }
  if (get.text(0) != kFormat)
    throw InputError(fmt::format("journal '{}' has format '{}'; this build reads '{}'", path_, get.text(0), kFormat));
  for (const auto& [key, member] : kFields) {
    if (!get.bind(std::string_view(key)).step())
      refuse_damaged(path_, fmt::format("'{}' is missing in its header", key));
    header_.*member = std::string(get.text(0));
  }
  if (header_.plan_digest != header.plan_digest)
    throw InputError(fmt::format(
        "journal '{}' belongs to run {} of study '{}', whose plan differs from run {} of study '{}'; use another --out or --fresh",
        path_, header_.run_id, header_.study_name, header.run_id, header.study_name));
}

void Journal::add_worker(const JournalWorker& worker) {
  writes_.push_back({.kind = Write::Kind::worker,
                     .number = worker.worker,
                     .text = worker.profile,
                     .more = worker.id,
                     .name = worker.name});
}
void Journal::add_attempt(Scheduler::Unit unit, std::int64_t epoch, Scheduler::Worker worker) {
  writes_.push_back({.kind = Write::Kind::attempt,
                     .unit = unit,
                     .epoch = epoch,
                     .number = worker,
                     .text = {},
                     .more = {},
                     .name = {}});
}
void Journal::end_attempt(std::int64_t epoch, AttemptEnd end) {
  writes_.push_back(
      {.kind = Write::Kind::end, .epoch = epoch, .number = std::int64_t(end), .text = {}, .more = {}, .name = {}});
}
void Journal::add_result(Scheduler::Unit unit, std::int64_t epoch, std::uint64_t digest, ResultDecision decision,
                         std::string measurement) {
  writes_.push_back({.kind = Write::Kind::result,
                     .unit = unit,
                     .epoch = epoch,
                     .number = std::int64_t(decision),
                     .digest = std::bit_cast<std::int64_t>(digest),
                     .text = std::move(measurement),
                     .more = {},
                     .name = {}});
}
void Journal::settle(Scheduler::Unit unit, std::int64_t epoch, std::string measurement, std::string utc) {
  writes_.push_back({.kind = Write::Kind::settle,
                     .unit = unit,
                     .epoch = epoch,
                     .text = std::move(measurement),
                     .more = std::move(utc),
                     .name = {}});
}

std::size_t Journal::pending() const { return writes_.size(); }

void Journal::commit() {
  if (writes_.empty()) return;
  Database& db = *database_;
  try {
    db.begin.run();
    for (const Write& write : writes_) {
      const std::string_view text = write.text, more = write.more, name = write.name;
      switch (write.kind) {
        case Write::Kind::worker: db.add_worker.bind(write.number, more, name, text).run(); break;
        case Write::Kind::attempt: db.add_attempt.bind(write.epoch, write.unit, write.number).run(); break;
        case Write::Kind::end: db.end_attempt.bind(write.number, write.epoch).run(); break;
        case Write::Kind::result:
          db.add_result.bind(write.epoch, write.digest, write.unit, write.number, text).run();
          break;
        case Write::Kind::settle: db.settle.bind(write.unit, write.epoch, more, text).run(); break;
      }
    }
    db.connection.execute("COMMIT");
  } catch (const SqliteError& error) {
    db.connection.roll_back();
    throw StorageError(fmt::format("journal '{}' cannot be written: {}", path_, error.words));
  }
  writes_.clear();
}

std::vector<JournalWorker> Journal::workers() const {
  return reading(path_, [&] {
    std::vector<JournalWorker> result;
    SqliteStatement rows(database_->connection, "SELECT worker, id, name, profile FROM workers ORDER BY worker");
    while (rows.step())
      result.push_back({Scheduler::Worker(rows.integer(0)), std::string(rows.text(1)), std::string(rows.text(2)),
                        std::string(rows.text(3))});
    return result;
  });
}

void Journal::attempts(const std::function<void(Scheduler::Unit, const Scheduler::Attempt&)>& each) const {
  reading(path_, [&] {
    SqliteStatement rows(database_->connection, "SELECT epoch, unit, worker, ended FROM attempts ORDER BY epoch");
    SqliteStatement results(database_->connection, "SELECT digest FROM results WHERE epoch=?");
    while (rows.step()) {
      Scheduler::Attempt attempt{rows.integer(0), Scheduler::Worker(rows.integer(2)), AttemptEnd(rows.integer(3)), {}};
      results.bind(attempt.epoch);
      while (results.step()) attempt.results.push_back(std::bit_cast<std::uint64_t>(results.integer(0)));
      each(Scheduler::Unit(rows.integer(1)), attempt);
    }
  });
}

void Journal::settled(const std::function<void(Scheduler::Unit, std::string_view)>& each) const {
  reading(path_, [&] {
    SqliteStatement rows(database_->connection, "SELECT unit, measurement FROM settled ORDER BY unit");
    while (rows.step()) each(Scheduler::Unit(rows.integer(0)), rows.text(1));
  });
}

std::int64_t Journal::settled_count() const {
  return reading(path_, [&] {
    SqliteStatement row(database_->connection, "SELECT count(*) FROM settled");
    row.step();
    return row.integer(0);
  });
}

std::int64_t Journal::shadow_count() const {
  return reading(path_, [&] {
    SqliteStatement row(database_->connection, "SELECT count(*) FROM results WHERE decision=?");
    row.bind(std::int64_t(ResultDecision::shadow)).step();
    return row.integer(0);
  });
}

std::string Journal::last_settled_utc() const {
  return reading(path_, [&] {
    SqliteStatement row(database_->connection, "SELECT coalesce(max(utc), '') FROM settled");
    row.step();
    return std::string(row.text(0));
  });
}

}  // namespace qb
