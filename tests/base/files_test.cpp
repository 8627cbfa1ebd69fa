#include "kernels/base/files.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "kernels/base/digest.h"
#include "kernels/base/error.h"

using namespace qb;
namespace fs = std::filesystem;

namespace {

/// A folder of its own that is removed at the end.
struct Scratch {
  fs::path path = fs::temp_directory_path() / ("quantbench-files-" + std::to_string(::getpid()));
  Scratch() { fs::create_directories(path); }
  ~Scratch() { fs::remove_all(path); }
};

}  // namespace

TEST_CASE("a file is replaced whole") {
  const Scratch scratch;
  const fs::path file = scratch.path / "a";
  write_file_atomically(file, "first");
  write_file_atomically(file, std::string("second\0x", 8), 0600);
  CHECK(read_file(file) == std::string("second\0x", 8));
  CHECK((fs::status(file).permissions() & fs::perms::all) == fs::perms(0600));
  CHECK(std::distance(fs::directory_iterator(scratch.path), {}) == 1);
}

TEST_CASE("what cannot be read or written is named") {
  const Scratch scratch;
  CHECK_THROWS_AS(read_file(scratch.path / "none"), DataError);
  CHECK_THROWS_AS(read_file(scratch.path), DataError);
  write_file_atomically(scratch.path / "a", "12345");
  CHECK_THROWS_AS(read_file(scratch.path / "a", 4), DataError);
  CHECK_THROWS_AS(write_file_atomically(scratch.path / "none" / "a", "x"), InputError);
}

TEST_CASE("a file that fails its verification leaves the old one and no other") {
  const Scratch scratch;
  const fs::path file = scratch.path / "a";
  write_file_verified(file, "good", [&](const fs::path& written) {
    CHECK(written != file);
    CHECK(read_file(written) == "good");
    return std::string();
  });
  std::string message;
  try {
    write_file_verified(file, "bad", [](const fs::path&) { return std::string("a bit fell over"); });
  } catch (const InputError& error) {
    message = error.what();
  }
  CHECK(message == "file '" + file.string() + "' cannot be written: a bit fell over");
  CHECK(read_file(file) == "good");
  CHECK(std::distance(fs::directory_iterator(scratch.path), {}) == 1);
}

TEST_CASE("when there is no room the old file stays and nothing else is left") {
  const Scratch scratch;
  const fs::path file = scratch.path / "a";
  write_file_atomically(file, "old");
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      write_file_atomically(file, std::string(100'000, 'x'));
    } catch (const InputError&) {
      ::_exit(42);
    }
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 42);
  CHECK(read_file(file) == "old");
  CHECK(std::distance(fs::directory_iterator(scratch.path), {}) == 1);
}

TEST_CASE("digests are those of FIPS 180-4") {
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const Scratch scratch;
  write_file_atomically(scratch.path / "m", std::string(1'000'000, 'a'));
  CHECK(sha256_file(scratch.path / "m") == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
