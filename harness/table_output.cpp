#include "harness/table_output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

#include "kernels/base/text.h"
#include "reports/picture.h"
#include "reports/table.h"

namespace qb {

int output_columns(int otherwise) {
  constexpr int kNarrowest = 40, kWidest = 10'000;
  winsize size{};
  if (::isatty(STDOUT_FILENO) == 1 && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > kNarrowest)
    return size.ws_col;
  const char* said = std::getenv("COLUMNS");
  const auto columns = said ? parse_int(said) : std::nullopt;
  return columns && *columns > kNarrowest && *columns <= kWidest ? int(*columns) : otherwise;
}

std::string table_text(const RunRecord& record, TableFormat format) {
  switch (format) {
    case TableFormat::markdown: return markdown_table(record);
    case TableFormat::csv: return csv_table(record);
    case TableFormat::json: return json_table(record);
    case TableFormat::svg: return svg_picture(record);
    case TableFormat::terminal: break;
  }
  constexpr int kWide = 240;  // nothing is cut in a log
  return terminal_table(record, output_columns(kWide));
}

void print_table(const RunRecord& record, TableFormat format, std::FILE* stream) {
  const std::string text = table_text(record, format);
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

}  // namespace qb
