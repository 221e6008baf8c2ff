// Files that rows are appended to, and the thread that does it.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "relay/acct/append_file.h"
#include "relay/acct/call_record_writer.h"
#include "tests/support/temporary_directory.h"

namespace relay {
namespace {

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string message_of(const Result<void>& result) {
  return result ? "" : result.error().message;
}

CallRecord record_of(const std::string& call_id) {
  CallRecord record;
  record.call_id = call_id;
  return record;
}

}  // namespace

TEST_CASE("an empty file begins with the header, one with rows goes on") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.csv");
  {
    AppendFile file(path, "head\n");
    REQUIRE(file.open());
    CHECK(content(path).empty());
    REQUIRE(file.append("one\n"));
    REQUIRE(file.append("two\n"));
  }
  AppendFile again(path, "head\n");
  REQUIRE(again.append("three\n"));
  CHECK(content(path) == "head\none\ntwo\nthree\n");
}

TEST_CASE("a file that was rotated away is made anew") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.csv");
  AppendFile file(path, "head\n");
  REQUIRE(file.append("one\n"));
  std::filesystem::rename(path, path + ".1");
  REQUIRE(file.append("two\n"));
  std::filesystem::remove(path);
  REQUIRE(file.append("three\n"));
  directory.write("a.csv", "");  // copytruncate
  REQUIRE(file.append("four\n"));
  CHECK(content(path + ".1") == "head\none\n");
  CHECK(content(path) == "head\nfour\n");
}

TEST_CASE("files that cannot be had") {
  const TemporaryDirectory directory;
  AppendFile no_folder(directory.file("none/a.csv"), "");
  CHECK(message_of(no_folder.open()).find("No such file") != std::string::npos);
  CHECK(no_folder.open_error() == ENOENT);
  AppendFile folder(directory.file(""), "");
  CHECK(message_of(folder.open()).find("Is a directory") != std::string::npos);
  const std::string pipe = directory.file("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  AppendFile named_pipe(pipe, "");
  CHECK_FALSE(named_pipe.open());
  AppendFile device("/dev/null", "");
  CHECK(message_of(device.open()).find("expected a regular file") != std::string::npos);
}

TEST_CASE("a row that does not fit leaves nothing behind") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.csv");
  AppendFile file(path, "head\n");
  REQUIRE(file.append("one\n"));
  // What a full disk does, RLIMIT_FSIZE does to one process; the signal is what background
  // threads have blocked.
  std::thread([&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit limit{12, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto too_long = file.append("longer than three bytes\n");
    const auto fits = file.append("2\n");
    ::setrlimit(RLIMIT_FSIZE, &before);
    CHECK_FALSE(too_long);
    CHECK(fits);
  }).join();
  CHECK(content(path) == "head\none\n2\n");
}

TEST_CASE("rows of two writers do not mix") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a.csv");
  constexpr int kRows = 300;
  const auto append_rows = [&](char letter) {
    AppendFile file(path, "head\n");
    for (int i = 0; i < kRows; ++i) {
      if (!file.append(std::string(500, letter) + "\n")) return;
    }
  };
  std::thread other([&] { append_rows('b'); });
  append_rows('a');
  other.join();
  std::ifstream file(path);
  std::string line;
  REQUIRE(std::getline(file, line));
  CHECK(line == "head");
  int rows = 0;
  for (; std::getline(file, line); ++rows) {
    CHECK(line == std::string(500, line.at(0)));
  }
  CHECK(rows == 2 * kRows);
}

TEST_CASE("the writer appends to both files, all of it before it ends") {
  const TemporaryDirectory directory;
  const CallRecordWriterOptions options{
      directory.file("a.csv"), directory.file("a.json"), {"n", 1}};
  const auto counters = std::make_shared<AcctCounters>();
  {
    auto writer = CallRecordWriter::start(options, counters);
    REQUIRE(writer);
    for (int i = 0; i < 100; ++i) (*writer)->write(record_of("call-" + std::to_string(i)));
  }
  CHECK(counters->records_written.get() == 200);
  const std::string csv = content(options.csv_file);
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 101);
  CHECK(csv.starts_with("rec_ver,"));
  CHECK(csv.find(",call-99,") != csv.npos);
  const std::string json = content(options.json_file);
  CHECK(std::count(json.begin(), json.end(), '\n') == 100);
}

TEST_CASE("a file that is a mistake is refused at the start") {
  const TemporaryDirectory directory;
  const auto counters = std::make_shared<AcctCounters>();
  const auto writer = CallRecordWriter::start({directory.file("no/a.csv"), "", {}}, counters);
  REQUIRE_FALSE(writer);
  CHECK(writer.error().message.starts_with("call records: \"" + directory.file("no/a.csv")));
}

TEST_CASE("somebody who keeps the lock delays the writer, not the one who hands in records") {
  const TemporaryDirectory directory;
  const std::string path = directory.write("a.csv", "");
  const auto counters = std::make_shared<AcctCounters>();
  auto writer = CallRecordWriter::start({path, "", {}}, counters);
  REQUIRE(writer);
  UniqueFd other(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  struct flock lock {};
  lock.l_type = F_WRLCK;
  REQUIRE(::fcntl(other.get(), F_OFD_SETLK, &lock) == 0);
  // More than fit.
  constexpr uint64_t kRecords = 33000;
  for (uint64_t i = 0; i < kRecords; ++i) (*writer)->write(record_of("c"));
  CHECK(counters->records_written.get() == 0);
  CHECK(counters->records_overrun.get() > 0);
  other.reset();
  writer->reset();
  CHECK(counters->records_written.get() + counters->records_overrun.get() == kRecords);
}

}  // namespace relay
