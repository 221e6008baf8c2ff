// Where a reply begins and ends in what came from a control socket. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace relay::tools {

// `COOKIE SP REPLY LF`: the cookie is the whole first word, so `7_12 …` never answers `7_1`.
struct CookedReply {
  std::string_view cookie;
  std::string_view reply;  // without the last line end
};
std::optional<CookedReply> split_cooked_reply(std::string_view datagram);

// The first complete reply to `command` in `received` from a stream, with its line ends: one line,
// or the five or six of I. Nothing while more has to come.
std::optional<std::string_view> complete_reply(std::string_view command, std::string_view received);

std::string_view without_line_end(std::string_view text);

}  // namespace relay::tools
