#include "harness/table_output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "reports/table.h"

namespace qb {

namespace {

/// Columns of the terminal; wide when the output is no terminal, so that nothing is cut in a log.
int terminal_width() {
  winsize size{};
  if (::isatty(STDOUT_FILENO) == 1 && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 40) return size.ws_col;
  return 240;
}

}  // namespace

std::string table_text(const RunRecord& record, TableFormat format) {
  switch (format) {
    case TableFormat::markdown: return markdown_table(record);
    case TableFormat::csv: return csv_table(record);
    case TableFormat::json: return json_table(record);
    case TableFormat::terminal: break;
  }
  return terminal_table(record, terminal_width());
}

void print_table(const RunRecord& record, TableFormat format, std::FILE* stream) {
  const std::string text = table_text(record, format);
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

}  // namespace qb
