#include "harness/sqlite.h"

#include <sqlite3.h>

namespace qb {

namespace {

[[noreturn]] void fail(sqlite3* handle, int code) {
  throw SqliteError{code & 0xff, handle ? sqlite3_errmsg(handle) : sqlite3_errstr(code)};
}

}  // namespace

SqliteConnection::SqliteConnection(const std::filesystem::path& path) {
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
  const std::string name = std::filesystem::weakly_canonical(path).string();
  if (const int code = sqlite3_open_v2(name.c_str(), &handle_, flags, nullptr); code != SQLITE_OK) {
    const SqliteError error{code & 0xff, handle_ ? sqlite3_errmsg(handle_) : sqlite3_errstr(code)};
    sqlite3_close(handle_);
    throw error;
  }
}

SqliteConnection::~SqliteConnection() { sqlite3_close(handle_); }

void SqliteConnection::execute(const char* sql) {
  if (const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK) fail(handle_, code);
}

void SqliteConnection::roll_back() noexcept {
  if (sqlite3_get_autocommit(handle_) == 0) sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
}

SqliteStatement::SqliteStatement(const SqliteConnection& connection, const char* sql) : connection_(&connection) {
  if (const int code = sqlite3_prepare_v2(connection.handle(), sql, -1, &statement_, nullptr); code != SQLITE_OK)
    fail(connection.handle(), code);
}

SqliteStatement::~SqliteStatement() { sqlite3_finalize(statement_); }

bool SqliteStatement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  const SqliteError error{code & 0xff, sqlite3_errmsg(connection_->handle())};
  reset();
  throw error;
}

void SqliteStatement::reset() { sqlite3_reset(statement_); }

std::int64_t SqliteStatement::integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string_view SqliteStatement::text(int column) const {
  const unsigned char* bytes = sqlite3_column_text(statement_, column);
  return {reinterpret_cast<const char*>(bytes), std::size_t(sqlite3_column_bytes(statement_, column))};
}

void SqliteStatement::bind_one(int index, std::int64_t value) {
  if (const int code = sqlite3_bind_int64(statement_, index, value); code != SQLITE_OK)
    fail(connection_->handle(), code);
}

void SqliteStatement::bind_one(int index, std::string_view value) {
  const char* data = value.data() ? value.data() : "";
  const int code = sqlite3_bind_text64(statement_, index, data, value.size(), SQLITE_STATIC, SQLITE_UTF8);
  if (code != SQLITE_OK) fail(connection_->handle(), code);
}

}  // namespace qb
