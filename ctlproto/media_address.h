// The `ip port` of U, L and `&& L`.
#pragma once

#include <string_view>

#include "ctlproto/parse.h"

namespace ctlproto {

// `ipv6` tells that the modifier 6 was given. rtpproxy's rules: a text too short or too long to be
// an address of the family is ignored (unusable, the port is not read); else both must be numeric
// (E37). Departure: with 6, an IPv4 literal is taken as IPv4 (Kamailio's 6 sticks to later lines).
tl::expected<MediaAddress, ParseError> classify_media_address(std::string_view ip,
                                                              std::string_view port, bool ipv6);

// Whether `text` is a numeric IPv6 address.
bool is_ipv6_literal(std::string_view text);

}  // namespace ctlproto
