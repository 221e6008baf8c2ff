// man/rtpp-control.7 describes every command and every error number of the control protocol.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "ctlproto/commands.h"
#include "ctlproto/error_codes.h"

namespace ctlproto {
namespace {

using Lines = std::vector<std::string>;

const Lines& page() {
  static const Lines lines = [] {
    std::ifstream file(TIDY_SOURCE_DIR "/man/rtpp-control.7");
    Lines read;
    for (std::string line; std::getline(file, line);) read.push_back(line);
    return read;
  }();
  return lines;
}

bool has_lines(const std::string& first, const std::string& second) {
  const Lines pair = {first, second};
  return std::search(page().begin(), page().end(), pair.begin(), pair.end()) != page().end();
}

std::vector<int> error_codes() {
  return {
#define ERROR_CODE(number, name, meaning) number,
#include "ctlproto/error_codes.def"
#undef ERROR_CODE
  };
}

}  // namespace

TEST_CASE("each command has a section that begins with its arguments") {
  for (const CommandRow& row : kCommands) {
    std::string name(row.name);
    std::replace(name.begin(), name.end(), '_', ' ');
    const std::string heading = ".SS \"" + std::string(row.letters) + ", " + name + "\"";
    CAPTURE(heading);
    CHECK(has_lines(heading, ".B \"" + std::string(row.hint) + "\""));
  }
}

TEST_CASE("each error number is listed with its meaning") {
  for (const int code : error_codes()) {
    const std::string heading = ".B E" + std::to_string(code);
    CAPTURE(heading);
    CHECK(has_lines(heading, std::string(error_meaning(code)) + "."));
  }
}

TEST_CASE("no error number is listed that does not exist") {
  for (const std::string& line : page()) {
    const bool number_follows = line.size() > 4 && line[4] >= '0' && line[4] <= '9';
    if (!line.starts_with(".B E") || !number_follows) continue;
    CAPTURE(line);
    CHECK_FALSE(error_meaning(std::stoi(line.substr(4))).empty());
  }
}

}  // namespace ctlproto
