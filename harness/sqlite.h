// The few calls of SQLite that the journal needs, with owners and errors in words.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

struct sqlite3;
struct sqlite3_stmt;

namespace qb {

/// What SQLite said: its (primary) result code and its words.
struct SqliteError {
  int code;
  std::string words;
};

/// Owns one connection. Every call throws SqliteError when SQLite refuses.
class SqliteConnection {
 public:
  explicit SqliteConnection(const std::filesystem::path& path);
  ~SqliteConnection();
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;

  void execute(const char* sql);  ///< any number of statements without results
  void roll_back() noexcept;      ///< the open transaction, if there is one
  sqlite3* handle() const { return handle_; }

 private:
  sqlite3* handle_ = nullptr;
};

/// One prepared statement. bind() takes the parameters in order; step() is true while there is a row.
class SqliteStatement {
 public:
  SqliteStatement(const SqliteConnection& connection, const char* sql);
  ~SqliteStatement();
  SqliteStatement(SqliteStatement&& other) noexcept
      : connection_(other.connection_), statement_(std::exchange(other.statement_, nullptr)) {}
  SqliteStatement& operator=(SqliteStatement&&) = delete;

  template <class... Values>
  SqliteStatement& bind(const Values&... values) {
    reset();
    int index = 0;
    (bind_one(++index, values), ...);
    return *this;
  }
  bool step();
  void run() { step(), reset(); }  ///< for statements without rows
  void reset();

  std::int64_t integer(int column) const;
  std::string_view text(int column) const;  ///< valid until the next step

 private:
  void bind_one(int index, std::int64_t value);
  void bind_one(int index, std::string_view value);  ///< the text must outlive the step

  const SqliteConnection* connection_;
  sqlite3_stmt* statement_ = nullptr;
};

}  // namespace qb
