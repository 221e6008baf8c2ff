#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "relay/media/record_directory.h"
#include "tests/support/temporary_directory.h"

namespace relay {
namespace {

namespace fs = std::filesystem;

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

RecordDirectory open_directory(const std::string& path) {
  auto directory = RecordDirectory::open(path);
  REQUIRE(directory);
  return std::move(*directory);
}

void write(const UniqueFd& fd, std::string_view text) {
  CHECK(::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

TEST_CASE("file names") {
  struct Case {
    std::string description, stem, suffix, expected;
  };
  const std::vector<Case> cases = {
      {"the usual", "1-23@192.0.2.1=tag", ".o.rtp", "1-23@192.0.2.1=tag.o.rtp"},
      {"a path", "../../etc/passwd", ".rtp", "..%2F..%2Fetc%2Fpasswd.rtp"},
      {"an absolute path", "/etc/passwd", ".rtp", "%2Fetc%2Fpasswd.rtp"},
      {"line ends, escape, delete", "a\r\n\x1b\x7f", "", "a%0D%0A%1B%7F"},
      {"NUL", std::string("a\0b", 3), "", "a%00b"},
      {"other bytes stay", "\xFF\xC3\xA9 %2F~", "", "\xFF\xC3\xA9 %2F~"},
      {"as long as may be", std::string(249, 'x'), ".o.rtp", std::string(249, 'x') + ".o.rtp"},
      {"one more", std::string(250, 'x'), ".o.rtp",
       std::string(232, 'x') + "~3b5ad17216035bad.o.rtp"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CHECK(file_name(c.stem, c.suffix) == c.expected);
  }
}

TEST_CASE("long names are cut, and told apart") {
  for (const size_t bytes : {250U, 8192U}) {
    const std::string stem(bytes, '/');
    const std::string name = file_name(stem, ".a.rtcp");
    CHECK(name.size() == 255);
    CHECK(name.find('/') == std::string::npos);
    CHECK(name.ends_with(".a.rtcp"));
    CHECK(name != file_name(stem + "x", ".a.rtcp"));
    CHECK(name == file_name(stem, ".a.rtcp"));
  }
}

TEST_CASE("the stem of a call: its first medium is called as by rtpproxy, others have a number") {
  struct Case {
    std::string description, tag, expected;
  };
  const std::vector<Case> cases = {
      {"no number", "ft", "cid=ft"},
      {"the first medium", "ft;1", "cid=ft"},
      {"the second", "ft;2", "cid=ft.2"},
      {"a large one", "ft;12", "cid=ft.12"},
      {"the tag ends at its first semicolon", "ft;x;2", "cid=ft.2"},
      {"no tag", "", "cid="},
      {"nothing behind it", "ft;", "cid=ft."},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CHECK(call_stem("cid", c.tag) == c.expected);
  }
}

TEST_CASE("what C may name") {
  struct Case {
    std::string description, name;
    bool expected;
  };
  const std::vector<Case> cases = {
      {"Sippy's", "name.a", true},    {"hidden", ".name", true},
      {"dots", "...", true},          {"this directory", ".", false},
      {"the one above", "..", false}, {"in another one", "a/b", false},
      {"absolute", "/a", false},      {"above", "../a", false},
      {"nothing", "", false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    CHECK(is_plain_name(c.name) == c.expected);
  }
}

TEST_CASE("a file is made in the directory, whatever is there under its name") {
  const TemporaryDirectory outside, inside;
  const RecordDirectory directory = open_directory(inside.file(""));
  const std::string secret = outside.write("secret", "keep me");

  SUBCASE("nothing") {}
  SUBCASE("a file: it loses the name") {
    inside.write("name", "old");
  }
  SUBCASE("a link to a file elsewhere: the link goes, the file stays") {
    fs::create_symlink(secret, inside.file("name"));
  }
  SUBCASE("a link to nowhere") {
    fs::create_symlink(outside.file("not-there"), inside.file("name"));
  }
  SUBCASE("a second name of a file elsewhere") {
    fs::create_hard_link(secret, inside.file("name"));
  }
  SUBCASE("a pipe that nobody reads") {
    REQUIRE(::mkfifo(inside.file("name").c_str(), 0600) == 0);
  }
  {
    const auto fd = directory.create("name");
    REQUIRE(fd);
    write(*fd, "new");
  }
  CHECK(content_of(inside.file("name")) == "new");
  CHECK(fs::symlink_status(inside.file("name")).type() == fs::file_type::regular);
  CHECK(content_of(secret) == "keep me");
  CHECK_FALSE(fs::exists(outside.file("not-there")));
}

TEST_CASE("names that leave the directory are refused by the kernel, should one ever get there") {
  const TemporaryDirectory inside;
  fs::create_directory(inside.file("sub"));
  fs::create_directory_symlink("/tmp", inside.file("link"));
  const RecordDirectory directory = open_directory(inside.file("sub"));
  const RecordDirectory above = open_directory(inside.file(""));
  CHECK_FALSE(directory.create("../escaped"));
  CHECK_FALSE(directory.create("/tmp/rtpp-escaped"));
  CHECK_FALSE(above.create("link/rtpp-escaped"));
  CHECK_FALSE(directory.create(".."));
  CHECK_FALSE(directory.create(std::string(300, 'x')));
  const auto over_directory = above.create("sub");
  REQUIRE_FALSE(over_directory);
  CHECK(over_directory.error().message.find("sub") != std::string::npos);
  CHECK(fs::is_directory(inside.file("sub")));
  CHECK_FALSE(fs::exists(inside.file("escaped")));
  CHECK_FALSE(fs::exists("/tmp/rtpp-escaped"));
}

TEST_CASE("moving, and where that cannot be") {
  const TemporaryDirectory spool, target;
  const RecordDirectory from = open_directory(spool.file("")), to = open_directory(target.file(""));
  CHECK(from.can_move_to(to));
  CHECK_FALSE(from.can_move_to(open_directory("/proc")));
  spool.write("name", "text");
  target.write("name", "old");
  CHECK(from.move("name", to));
  CHECK(content_of(target.file("name")) == "text");
  CHECK_FALSE(fs::exists(spool.file("name")));
  CHECK_FALSE(from.move("name", to));
}

TEST_CASE("a directory has to be one") {
  const TemporaryDirectory directory;
  const auto missing = RecordDirectory::open(directory.file("missing"));
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message.find("missing") != std::string::npos);
  CHECK_FALSE(RecordDirectory::open(directory.write("file", "")));
}

}  // namespace
}  // namespace relay
