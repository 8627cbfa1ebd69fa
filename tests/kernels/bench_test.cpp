// quantbench-kernels: what it accepts, how it measures, what it writes. No check looks at how long anything took.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/attention/variants.h"
#include "kernels/base/error.h"
#include "kernels/base/text.h"
#include "kernels/bench/document.h"
#include "kernels/bench/options.h"
#include "kernels/bench/random_matrix.h"
#include "kernels/bench/shares_picture.h"
#include "kernels/bench/table_output.h"
#include "kernels/peers/attention.h"
#include "kernels/peers/convolution.h"

namespace qb {

namespace {

const std::filesystem::path kShapes = std::filesystem::path(QB_SOURCE_ROOT) / "configs" / "shapes";

Options options_of(const std::vector<std::string_view>& arguments) { return read_options(arguments, kShapes); }

/// A table of two formats on small products, as the program makes it.
Table small_table() {
  Options options =
      options_of({"--table", "--formats=f32,bf16,q8c,q4g32,q4g32-a8g32", "--kernels=all", "--threads=1", "--rounds=9"});
  options.shapes = parse_shapes(
      "1 40 64\n7 40 64\ndepthwise n=2 c=20 h=9 w=11 k=3 s=2\n"
      "convolution n=2 c=20 o=24 h=9 w=11 k=3 s=2\nrows m=3 k=4100\n"
      "attention queries=20 keys=30 heads=4 kv=2 size=24 causal=1\nattention queries=1 keys=70 heads=2 size=16",
      "small");
  options.cold_bytes = 1 << 20;
  return measure_table(options);
}

TableRow row_with(std::vector<double> share, std::vector<double> ratio) {
  TableRow row;
  row.kernel = find_kernel("gemm_s8_q8_ref");
  row.format = {parse_quant_format("q8c")};
  row.shape = {512, 64, 64};
  row.time_ns.assign(share.size(), 1000.0);
  row.limit_share = std::move(share);
  row.peer_ratio = std::move(ratio);
  return row;
}

/// Commas of a line of CSV that stand outside of quotes.
std::ptrdiff_t separators(std::string_view line) {
  bool quoted = false;
  return std::ranges::count_if(line, [&](char c) {
    quoted ^= c == '"';
    return c == ',' && !quoted;
  });
}

std::vector<Goal> goals_in(const std::string& text) {
  const auto file = std::filesystem::temp_directory_path() / "qb_goals_test.json";
  std::ofstream(file) << text;
  const auto goals = read_goals(file);
  std::filesystem::remove(file);
  return goals;
}

}  // namespace

TEST_CASE("options say what is accepted and what is near") {
  const auto message = [](const std::vector<std::string_view>& arguments) {
    try {
      options_of(arguments);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(message({"--tabel"}) == "option '--tabel' is not known; did you mean '--table'?");
  CHECK(message({"--format=jsn"}) == "--format=jsn: that output is not known; did you mean 'json'?");
  CHECK(message({"--formats=q4g3x"}).ends_with("; did you mean 'q4g32'?"));
  CHECK(message({"--formats=q4g32-a8g33"}) ==
        "format 'q4g32-a8g33': behind the weights' format stands nothing, or -a8g and one of 32, 64, 128, 256; did you "
        "mean 'q4g32-a8g32'?");
  CHECK(message({"--formats=q4g32-a8"}).find("behind the weights' format stands nothing") != std::string::npos);
  CHECK(options_of({"--table", "--formats=q4g32-a8g32,q8c"}).plane_formats.size() == 1);
  CHECK(to_text(options_of({"--table", "--formats=q4g32o.i6-a8g256"}).formats[0]) == "q4g32o.i6-a8g256");
  CHECK(message({"--kernels=gemm_s8_q8_rfe"}) ==
        "--kernels: kernel 'gemm_s8_q8_rfe' is not known; did you mean 'gemm_s8_q8_ref'?");
  CHECK(message({"--rounds=8"}) == "--rounds=8: a number from 9 to 1001 is accepted here");
  CHECK(message({"--threads=0"}).starts_with("--threads=0: a number from 1 to "));
  CHECK(message({"--document=x.md"}) ==
        "--document and --goals are asked for together: the page says which goals are met");
  CHECK(options_of({"--table"}).shapes.size() > 5);
  CHECK(options_of({"--table", "--formats=q4c"}).plane_formats.size() == 1);
  CHECK(options_of({}).shapes.size() > options_of({"--table"}).shapes.size());
  CHECK(options_of({"--table", "--format=csv"}).output == Output::csv);
}

TEST_CASE("the interval of a median lies between the order statistics that cover it") {
  const auto of_first = [](int n) {
    std::vector<double> values;
    for (int i = n; i >= 1; --i) values.push_back(i);
    return spread_of(values);
  };
  // Hahn and Meeker, table A.15: 9 values give the second and the eighth, 11 the second and the tenth, 15 the fourth
  // and the twelfth; fewer than 6 cover less than 95 % even with their whole range.
  CHECK(of_first(9).median == 5);
  CHECK(of_first(9).low == 2);
  CHECK(of_first(9).high == 8);
  CHECK(of_first(11).low == 2);
  CHECK(of_first(15).low == 4);
  CHECK(of_first(15).high == 12);
  CHECK(of_first(4).median == 2.5);
  CHECK(of_first(4).low == 1);
  CHECK(std::isnan(spread_of({}).median));
  CHECK(std::isnan(spread_of({1, NAN, 2}).median));
}

TEST_CASE("every kernel of a product has one value per round, and peers are paired with themselves at 1") {
  const Table table = small_table();
  REQUIRE(!table.rows.empty());
  for (const TableRow& row : table.rows) {
    INFO(row.kernel->name, " ", to_text(row.format), " ", to_text(row.shape));
    CHECK(row.proof.fault == "");
    CHECK(row.proof.error <= row.proof.bound);
    CHECK(row.time_ns.size() == 9);
    CHECK(row.limit_rate.size() == 9);
    CHECK(row.limit_share.size() == 9);
    CHECK(std::ranges::all_of(row.time_ns, [](double ns) { return ns > 0; }));
    CHECK(row.peer_ratio.size() == (row.best_peer == nullptr ? 0 : 9));
    if (row.best_peer == row.kernel) CHECK(std::ranges::all_of(row.peer_ratio, [](double r) { return r == 1.0; }));
  }
  for (const TableRow& row : table.rows)
    if (row.format.activation_group > 0) CHECK(row.kernel->family == "gemm_s8_int");
  CHECK(std::ranges::any_of(table.rows, [](const TableRow& row) { return to_text(row.format) == "q4g32-a8g32"; }));
  for (const KernelInfo& kernel : kernels()) {
    if (kernel.family != "gemm_f32_f32" || !includes(host_isa(), kernel.needs) || kernel.by_name_only) continue;
    const auto same = [&](const TableRow& row) { return row.kernel == &kernel; };
    CHECK_MESSAGE(std::ranges::count_if(table.rows, same) == (kernel.peer ? 2 : 3), kernel.name);
  }
}

TEST_CASE("every depthwise kernel that this host may run is measured") {
  const Table table = small_table();
  for (const KernelInfo& kernel : kernels()) {
    if (kernel.operation != Operation::depthwise || !includes(host_isa(), kernel.needs)) continue;
    INFO(kernel.name);
    const auto found = std::ranges::find(table.rows, &kernel, &TableRow::kernel);
    REQUIRE(found != table.rows.end());
    CHECK(to_text(found->shape) == "2 x 20 x 9 x 11, 3 x 3 / 2");
    CHECK(operations(found->shape) == 2.0 * 2 * 20 * 5 * 6 * 9);
    CHECK(found->bytes >= 4 * (2 * 20 * 9 * 11 + 2 * 20 * 5 * 6));
    CHECK(!found->cold);
    CHECK(error_text(found->proof) == "exact");
  }
}

TEST_CASE("convolutions are measured between planes, of int8 also between codes, with oneDNN's where there is one") {
  const Table table = small_table();
  const auto count = [&](Work work, std::string_view kernel) {
    return std::ranges::count_if(
        table.rows, [&](const TableRow& row) { return row.shape.work == work && row.kernel->name == kernel; });
  };
  CHECK(count(Work::convolution, "gemm_f32_f32_ref") == 1);
  CHECK(count(Work::convolution, "gemm_s8_q8_ref") == 1);
  CHECK(count(Work::convolution_of_codes, "gemm_s8_q8_ref") == 1);
  CHECK(count(Work::convolution_of_codes, "gemm_f32_f32_ref") == 0);
  CHECK(count(Work::convolution, "convolution_f32_onednn") == has_onednn());
  const bool integers = has_onednn() && includes(host_isa(), Isa::avx512vnni);
  CHECK(count(Work::convolution, "convolution_u8_s8_onednn") == integers);
  CHECK(count(Work::convolution_of_codes, "convolution_u8_s8_onednn") == integers);
  CHECK(count(Work::depthwise, "depthwise_f32_onednn") == has_onednn());
  CHECK(count(Work::depthwise, "depthwise_u8_s8_onednn") == integers);
  CHECK(count(Work::convolution, "gemm_bf16_bf16_ref") == 1);
  const bool bf16 = has_onednn() && includes(host_isa(), Isa::avx512bf16);
  CHECK(count(Work::convolution, "convolution_bf16_onednn") == bf16);
  for (const TableRow& row : table.rows) {
    if (row.shape.work != Work::convolution_of_codes) continue;
    CHECK(to_text(row.shape) == "2 x 20 x 9 x 11 to 24, 3 x 3 / 2, codes");
    CHECK(operations(row.shape) == 2.0 * 2 * 24 * 5 * 6 * 9 * 20);
    CHECK(row.bytes == 2 * 20 * 9 * 11 + 4 * 2 * 24 * 5 * 6);
    CHECK(error_text(row.proof) == "exact");
  }
}

TEST_CASE("rows of activations are made by every variant of three families, against reading them") {
  const Table table = small_table();
  std::vector<std::string_view> families;
  for (const TableRow& row : table.rows) {
    if (row.shape.work != Work::rows) continue;
    if (row.kernel->reference) families.push_back(row.kernel->family);
    CHECK(to_text(row.shape) == "3 x 4100");
    CHECK(row.bytes == 4 * 3 * 4100);
    CHECK(row.limit == Limit::read);
    CHECK(error_text(row.proof) == "exact");
  }
  CHECK(families == std::vector<std::string_view>{"quantize_rows", "bf16_rows", "sign_rows"});
}

TEST_CASE("attention is measured in every variant, and as products of OpenBLAS") {
  const Table table = small_table();
  std::ptrdiff_t ours = 0, peers = 0;
  for (const TableRow& row : table.rows) {
    if (row.shape.work != Work::attention) continue;
    (row.kernel->peer ? peers : ours) += 1;
    if (row.shape.m == 1) continue;
    CHECK(to_text(row.shape) == "20 x 30, 4 on 2 heads of 24, causal");
    CHECK(operations(row.shape) == 4.0 * 24 * 4 * (20 * 30 - 190));
    CHECK(row.bytes == 2 * 4 * 30 * 2 * 24);
  }
  const auto runs = std::ranges::count_if(
      attention_variants(), [](const AttentionVariant& variant) { return includes(host_isa(), variant.needs); });
  CHECK(ours == 2 * runs);
  CHECK(peers == 2 * has_openblas());
}

TEST_CASE("a goal of attention is judged on shapes with its number of queries") {
  const Table table = small_table();
  const auto goals = goals_in(
      R"({"goals": [{"product": "a", "work": "attention", "activations": ["f32"], "formats": ["f32"], "rows": [1]}]})");
  const auto judged = judge(goals, table, {1});
  REQUIRE(judged.size() == 1);
  CHECK(judged[0].shape == "1 x 70, 2 heads of 16");
  CHECK(judged[0].row != nullptr);
}

TEST_CASE("the table is written for people and for programs") {
  const Table table = small_table();
  const MachineFacts machine = {{"processor", "one"}, {"peer", "a"}, {"peer", "b"}};
  const auto json = nlohmann::json::parse(to_text(table, machine, Output::json));
  CHECK(json.at("machine").at("peer") == "a; b");
  REQUIRE(json.at("rows").size() == table.rows.size());
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    CHECK(json["rows"][i].at("kernel") == table.rows[i].kernel->name);
    CHECK(json["rows"][i].at("shape") == to_text(table.rows[i].shape));
    CHECK(json["rows"][i].at("time_ns").get<std::vector<double>>() == table.rows[i].time_ns);
  }
  const std::string csv = to_text(table, machine, Output::csv);
  for (const std::string_view line : split(csv, '\n'))
    if (!line.empty()) CHECK(separators(line) == 27);
  const std::string text = to_text(table, machine, Output::text);
  CHECK(std::ranges::count(text, '\n') == std::ptrdiff_t(1 + table.rows.size() + table.missing.size()));
  CHECK(to_text(table, machine, Output::markdown).starts_with("| family | kernel | format |"));
}

TEST_CASE("a wrong result has no time and its fault stands in the row") {
  Table table;
  table.rows.push_back(row_with({}, {}));
  table.rows.back().proof.fault = "wrong result: row 0, column 0 is 1 instead of 2";
  CHECK(to_text(table, {}, Output::text).find("wrong result: row 0, column 0") != std::string::npos);
}

TEST_CASE("a goal is met by medians, missed without a kernel, and judged without a peer by its share alone") {
  const auto goals = goals_in(R"({"goals": [
    {"product": "a", "activations": ["s8"], "formats": ["q8c", "q4c"], "rows": [512], "limit_share": 0.5,
     "peer_ratio": 1, "explanation": "because"},
    {"product": "b", "elsewhere": "there"}]})");
  Table table;
  table.rows.push_back(row_with({0.4, 0.6, 0.7}, {1.0, 1.1, 1.2}));
  auto judged = judge(goals, table, {1});
  REQUIRE(judged.size() == 2);
  CHECK(judged[0].met);
  CHECK(judged[1].row == nullptr);
  CHECK(!judged[1].met);
  table.rows[0].peer_ratio = {0.9, 0.9, 1.2};
  CHECK(!judge(goals, table, {1})[0].met);
  table.rows[0].peer_ratio = {};
  CHECK(judge(goals, table, {1})[0].met);
  table.rows[0].limit_share = {0.4, 0.4, 0.7};
  judged = judge(goals, table, {1});
  CHECK(!judged[0].met);
  table.rows[0].limit_share = {1.1, 1.3, 1.4};
  CHECK(judge(goals, table, {1})[0].disturbed);
  CHECK(!judge(goals, table, {1})[0].met);
  table.rows[0].limit_share = {0.4, 0.4, 0.7};
  const std::string page = performance_page(table, goals, judged, {{"processor", "one"}}, "the command", 9);
  CHECK(page.find("the command") != std::string::npos);
  CHECK(page.find("- **a** (q8c, 512 rows: 1T; q4c, 512 rows: 1T): because") != std::string::npos);
  CHECK(page.find("- b: there") != std::string::npos);
  CHECK(shares_picture(judged).starts_with("<svg "));
}

TEST_CASE("a goal is not met by a time that several threads needed longer for than one") {
  const auto goals =
      goals_in(R"({"goals": [{"product": "a", "activations": ["s8"], "formats": ["q8c"], "rows": [512]}]})");
  Table table;
  table.rows = {row_with({0.6}, {}), row_with({0.6}, {})};
  table.rows[1].threads = 2;
  CHECK(judge(goals, table, {2})[0].met);
  table.rows[1].time_ns = {1300.0};
  CHECK(judge(goals, table, {2})[0].disturbed);
  CHECK(!judge(goals, table, {2})[0].met);
}

TEST_CASE("a goal for convolutions is judged on every shape of its work in the table") {
  const auto goals = goals_in(R"({"goals": [
    {"product": "d", "work": "depthwise", "activations": ["s8"], "formats": ["q8c"], "limit_share": 0.5}]})");
  Table table;
  CHECK(judge(goals, table, {1}).empty());
  for (const LayerShape& shape : parse_shapes("depthwise c=4 h=5 w=6 k=3\ndepthwise c=8 h=5 w=6 k=3", "two")) {
    table.rows.push_back(row_with({0.6}, {}));
    table.rows.back().shape = shape;
  }
  const auto judged = judge(goals, table, {1});
  REQUIRE(judged.size() == 2);
  CHECK(judged[0].shape == "4 x 5 x 6, 3 x 3");
  CHECK(judged[1].row == &table.rows[1]);
  CHECK(judged[1].met);
  CHECK_THROWS_WITH_AS(goals_in(R"({"goals": [{"product": "d", "work": "depthwize", "activations": ["s8"],
    "formats": ["q8c"]}]})"),
                       doctest::Contains("did you mean 'depthwise'?"), InputError);
}

TEST_CASE("a goals file says where it is wrong, and the shipped one is read") {
  CHECK_THROWS_WITH_AS(goals_in(R"({"goals": [{"product": "a", "activations": ["s9"], "formats": [], "rows": []}]})"),
                       doctest::Contains("'s9' is not known; did you mean 's8'?"), InputError);
  CHECK_THROWS_AS(goals_in(R"({"goals": [{"product": "a", "elsewhere": "x", "rows": [1]}]})"), InputError);
  CHECK_THROWS_AS(goals_in(R"({"goals": [{"product": "a", "activations": ["s8"], "formats": ["q8c"], "rows": [0]}]})"),
                  InputError);
  const auto goals = read_goals(std::filesystem::path(QB_SOURCE_ROOT) / "configs" / "goals.json");
  CHECK(goals.size() > 20);
  const std::vector<std::string> measured = default_formats();
  for (const Goal& goal : goals)
    for (const std::string& format : goal.formats)
      CHECK_MESSAGE(std::ranges::find(measured, format) != measured.end(), format);
}

}  // namespace qb
