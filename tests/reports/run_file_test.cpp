#include "reports/record/run_file.h"

#include <doctest/doctest.h>
#include <hdf5.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <fstream>

#include "kernels/base/error.h"
#include "kernels/base/files.h"
#include "kernels/base/random.h"
#include "reports/record/guarded_child.h"
#include "reports/record/run_tables.h"
#include "tests/reports/small_record.h"

namespace qb {
namespace {

namespace fs = std::filesystem;

/// A folder of this test's own, removed at the end.
struct Folder {
  Folder() : path(fs::temp_directory_path() / ("quantbench-reports-" + std::to_string(::getpid()))) {
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

void write_bytes(const fs::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

std::size_t files_in(const fs::path& folder) {
  return std::size_t(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const DataError& error) {
    return std::string("DataError ") + error.what();
  } catch (const InputError& error) {
    return std::string("InputError ") + error.what();
  }
  return "no error";
}

/// Equal in every member: the digest covers all cells of all tables, which cover all members.
bool same(const RunRecord& a, const RunRecord& b) {
  return content_digest(tables_of(a)) == content_digest(tables_of(b));
}

TEST_CASE("a record comes back from its file as it was") {
  const Folder folder;
  RunRecord record = small_record();
  record.plan[0].reproduce = std::string(5000, 'r');
  record.plan[1].reproduce = std::string("a\0b\0", 4);
  record.study_text += std::string(300'000, ' ');
  record.measurements[0].hot.time_ns[3] = std::nextafter(5000.0, 6000.0);
  record.measurements[0].cold = {};
  write_run_file(folder.path / "run.h5", record);
  CHECK(files_in(folder.path) == 1);
  const RunRecord again = read_run_file(folder.path / "run.h5");
  CHECK(same(record, again));
  CHECK(same(record, read_run_file_guarded(folder.path / "run.h5")));

  // What the digest says of all members, spelt out for some of every kind.
  REQUIRE(again.plan.size() == 5);
  CHECK(again.study_text == record.study_text);
  CHECK(again.plan[0].reproduce == record.plan[0].reproduce);
  CHECK(again.plan[1].reproduce == record.plan[1].reproduce);
  CHECK(again.plan[2].unit.seed == 0xfedcba9876543210u);
  CHECK(unit_id(again.plan[2].unit) == record.plan[2].unit.id);
  CHECK(again.plan[2].attempts == 3);
  CHECK(again.plan[4].status == "pending");
  REQUIRE(again.measurements.size() == 4);
  CHECK(again.measurements[0].hot.time_ns == record.measurements[0].hot.time_ns);
  CHECK(again.measurements[0].cold.time_ns.empty());
  CHECK(again.measurements[1].cold.iterations == record.measurements[1].cold.iterations);
  CHECK(again.measurements[1].items.kl == record.measurements[1].items.kl);
  CHECK(again.measurements[1].items.float_hit5 == std::vector<std::uint8_t>{1, 1, 1, 1});
  CHECK(again.measurements[1].items.hit5 == std::vector<std::uint8_t>{1, 0, 1, 1});
  CHECK(std::isnan(again.measurements[1].quantize_s));
  CHECK(again.measurements[1].prepared_bytes == -1);
  CHECK(again.measurements[2].outcome == Outcome::failed);
  CHECK(again.measurements[2].reason == record.measurements[2].reason);
  CHECK(again.measurements[3].layers[1].skipped == "too small");
  CHECK(again.measurements[3].noise.marked == record.measurements[3].noise.marked);
  CHECK(again.machines[0].timer_cost_ns == 20.5);
  CHECK(std::isnan(again.machines[0].peak_bf16_ops_per_s));
  CHECK(again.excluded[0].combination == record.excluded[0].combination);
}

TEST_CASE("what stands in the current folder is no matter") {
  const Folder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path);
  write_bytes("run", "a file of somebody's");
  CHECK_NOTHROW(write_run_file("run.h5", RunRecord{}));
  CHECK_NOTHROW(read_run_file("run.h5"));
  fs::remove("run");
  fs::create_directory("run");
  CHECK_NOTHROW(write_run_file("run.h5", RunRecord{}));
  CHECK_NOTHROW(read_run_file("run.h5"));
  fs::current_path(before);
}

TEST_CASE("an empty record and changed members are told apart") {
  const Folder folder;
  write_run_file(folder.path / "empty.h5", RunRecord{});
  CHECK(same(RunRecord{}, read_run_file(folder.path / "empty.h5")));
  RunRecord other = small_record();
  other.measurements[3].layers[1].time_share = 0.26;
  CHECK_FALSE(same(small_record(), other));
}

TEST_CASE("equal records give equal bytes, also later") {
  const Folder folder;
  write_run_file(folder.path / "a.h5", small_record());
  ::usleep(1'100'000);  // times in HDF5 count seconds
  write_run_file(folder.path / "b.h5", small_record());
  CHECK(read_file(folder.path / "a.h5") == read_file(folder.path / "b.h5"));
}

TEST_CASE("every truncation is refused") {
  const Folder folder;
  write_run_file(folder.path / "run.h5", small_record());
  const std::string bytes = read_file(folder.path / "run.h5");
  MESSAGE("the file has ", bytes.size(), " bytes");
  // Reading happens in a child, so that a crash of the library is a finding and not the end of the test.
  const ChildReport report = run_guarded({300, 0}, [&] {
    const fs::path path = folder.path / "cut.h5";
    write_bytes(path, bytes);
    for (std::size_t size = bytes.size(); size-- > 0;) {
      fs::resize_file(path, size);
      const std::string message = message_of([&] { read_run_file(path); });
      if (!message.starts_with("DataError run file '"))
        throw std::runtime_error("at " + std::to_string(size) + " bytes: " + message);
    }
  });
  CHECK(report.finished);
  CHECK(report.message == "");
}

TEST_CASE("a flipped bit is refused or changes nothing") {
  const Folder folder;
  write_run_file(folder.path / "run.h5", small_record());
  const std::string bytes = read_file(folder.path / "run.h5");
  const fs::path path = folder.path / "flipped.h5";
  Random random(20260131);
  int refused = 0, equal = 0, stopped = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string damaged = bytes;
    // Half of the flips hit the first 8 KiB, where most of the book-keeping lies.
    const std::size_t place = random.below(i % 2 == 0 ? bytes.size() : std::min<std::size_t>(bytes.size(), 8192));
    damaged[place] = char(damaged[place] ^ (1 << random.below(8)));
    write_bytes(path, damaged);
    INFO("flip ", i, " at byte ", place);
    const std::string message = message_of([&] {
      if (!same(read_run_file_guarded(path, {.seconds = 5, .memory_bytes = std::uint64_t(1) << 30}), small_record()))
        throw InputError("a wrong record was read");
    });
    const bool is_refused = message.starts_with("DataError run file '");
    CHECK_MESSAGE((is_refused || message == "no error"), message);
    refused += is_refused;
    equal += message == "no error";
    stopped += message.find("the process that read it") != std::string::npos;
  }
  MESSAGE(refused, " refused (", stopped, " by ending the child), ", equal, " read as written");
  CHECK(refused > 0);
}

TEST_CASE("what is not a run file is refused in one sentence") {
  const Folder folder;
  const fs::path path = folder.path / "other.h5";
  CHECK(message_of([&] { read_run_file(folder.path / "none.h5"); }).starts_with("DataError file '"));
  write_bytes(path, "");
  CHECK(message_of([&] { read_run_file(path); }).starts_with("DataError run file '"));
  write_bytes(path, "not HDF5 at all");
  CHECK(message_of([&] { read_run_file(path); }).starts_with("DataError run file '"));
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  H5Fclose(file);
  CHECK(message_of([&] { read_run_file(path); }).find("attribute 'format' is missing") != std::string::npos);
}

/// Opens a good file for writing, lets `change` spoil it, and reads it.
std::string message_after(const std::function<void(hid_t)>& change) {
  const Folder folder;
  const fs::path path = folder.path / "run.h5";
  write_run_file(path, small_record());
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  change(file);
  H5Fclose(file);
  return message_of([&] { read_run_file(path); });
}

TEST_CASE("foreign constructions are refused") {
  const std::string newer = message_after([](hid_t file) {
    const std::int64_t version = 99;
    const hid_t attribute = H5Aopen(file, "schema_version", H5P_DEFAULT);
    H5Awrite(attribute, H5T_NATIVE_INT64, &version);
    H5Aclose(attribute);
  });
  CHECK(newer.find("its schema version is 99; this program reads versions 1 to 1") != std::string::npos);
  const std::string external = message_after([](hid_t file) {
    H5Ldelete(file, "items", H5P_DEFAULT);
    H5Lcreate_external("/etc/other.h5", "/items", file, "items", H5P_DEFAULT, H5P_DEFAULT);
  });
  CHECK(external.find("'items' is a link") != std::string::npos);
  const std::string missing = message_after([](hid_t file) { H5Ldelete(file, "plan", H5P_DEFAULT); });
  CHECK(missing.find("'plan' is missing") != std::string::npos);
  const std::string edited = message_after([](hid_t file) {
    const double time = 1;
    const hsize_t first = 0, one = 1;
    const hid_t set = H5Dopen2(file, "samples/time_ns", H5P_DEFAULT), memory = H5Screate_simple(1, &one, nullptr),
                space = H5Dget_space(set);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &first, nullptr, &one, nullptr);
    H5Dwrite(set, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, &time);
    H5Sclose(space);
    H5Sclose(memory);
    H5Dclose(set);
  });
  CHECK(edited.find("its content is not what was written") != std::string::npos);
  const std::string huge = message_after([](hid_t file) {
    const hsize_t rows = hsize_t(1) << 50;
    const hid_t set = H5Dopen2(file, "samples/time_ns", H5P_DEFAULT);
    H5Dset_extent(set, &rows);
    H5Dclose(set);
  });
  CHECK(huge.find("claims more data than the file can hold") != std::string::npos);
}

TEST_CASE("what a run file cannot hold is refused before a byte is written") {
  const Folder folder;
  RunRecord record = small_record();
  record.measurements[0].items.kl.pop_back();
  CHECK(message_of([&] {
          write_run_file(folder.path / "run.h5", record);
        }).find("the columns of its items differ in length") != std::string::npos);
  record = small_record();
  record.plan[0].reason = "\xff";
  CHECK(message_of([&] { write_run_file(folder.path / "run.h5", record); }).find("is not UTF-8") != std::string::npos);
  CHECK(files_in(folder.path) == 0);
}

TEST_CASE("a full disk leaves the old file and nothing else") {
  const Folder folder;
  const fs::path path = folder.path / "run.h5";
  write_run_file(path, small_record());
  const std::string before = read_file(path);
  const ChildReport report = run_guarded({60, 0}, [&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &small);
    RunRecord changed = small_record();
    changed.run_id = "another";
    write_run_file(path, changed);
  });
  CHECK(report.finished);
  CHECK(report.message == "file '" + path.string() + "' cannot be written: File too large");
  CHECK(read_file(path) == before);
  CHECK(files_in(folder.path) == 1);
  CHECK(message_of([&] {
          write_run_file(folder.path / "no" / "folder.h5", small_record());
        }).starts_with("InputError file '"));
}

TEST_CASE("a guarded child's end is told in words") {
  CHECK(run_guarded({10, 0}, [] {}).message.empty());
  CHECK(run_guarded({10, 0}, [] { throw DataError("bad bytes"); }).message == "bad bytes");
  const ChildReport crashed = run_guarded({10, 0}, [] { ::raise(SIGKILL); });
  CHECK_FALSE(crashed.finished);
  CHECK(crashed.message == "was ended by signal 9");
  const ChildReport late = run_guarded({1, 0}, [] { ::pause(); });
  CHECK_FALSE(late.finished);
  CHECK(late.message == "did not end within 1 s");
}

}  // namespace
}  // namespace qb
