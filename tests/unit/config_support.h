// What the tests of the configuration share.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <variant>
#include <vector>

#include "relay/config/options.h"

namespace relay {

using Words = std::vector<std::string>;

inline Result<CommandLine> parse(Words words, bool superuser = false,
                                 const std::string& name = "/usr/sbin/rtpp-relay") {
  std::vector<const char*> argv{name.c_str()};
  for (const std::string& word : words) argv.push_back(word.c_str());
  const int argc = static_cast<int>(argv.size());
  argv.push_back(nullptr);
  return parse_command_line(argc, argv.data(), superuser);
}

inline Config parse_good(const Words& words, bool superuser = false,
                         const std::string& name = "/usr/sbin/rtpp-relay") {
  auto parsed = parse(words, superuser, name);
  if (!parsed) {
    FAIL_CHECK(parsed.error().message);
    return {};
  }
  if (!std::holds_alternative<Config>(*parsed)) {
    FAIL_CHECK("a text to print, not a configuration");
    return {};
  }
  return std::get<Config>(*parsed);
}

inline std::string error_of(const Words& words, bool superuser = false) {
  const auto parsed = parse(words, superuser);
  return parsed ? "" : parsed.error().message;
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace relay
