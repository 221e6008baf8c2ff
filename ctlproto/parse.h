// Text of one command in, a Request or the E-code out. Pure: no state, no I/O, any thread.
// The order of validation is rtpproxy's; where the tolerance for what clients really send departs
// from it, parse.cc says so at the place.
#pragma once

#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "ctlproto/request.h"

namespace ctlproto {

// Longest command the daemon reads, in bytes.
inline constexpr size_t kCommandBytesMax = 8191;
inline constexpr size_t kTokensMax = 23;
inline constexpr size_t kSubCommandsMax = 15;

struct ParseError {
  int code = 0;         // the n of `En`, a row of error_codes.def
  std::string message;  // for the log: quotes the offending text and says what was expected
};

// `text` is one command without its cookie; a trailing line end is allowed.
tl::expected<Request, ParseError> parse_request(std::string_view text);

// A datagram split at its first token. `cookie` is empty when the datagram holds no token;
// `command` is empty when nothing follows the cookie (both are answered E5).
struct CookedCommand {
  std::string_view cookie;
  std::string_view command;
};
CookedCommand split_cookie(std::string_view datagram);

}  // namespace ctlproto
