// The URLs of endpoints: ws, wss and tcp. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/result.h"

namespace relay {

struct VoiceUrl {
  enum class Scheme : uint8_t { ws, wss, tcp };
  Scheme scheme = Scheme::wss;
  std::string host;  // a name or a numeric address, without brackets
  uint16_t port = 0;
  std::string target;  // path and query, "/" at least; empty for tcp

  // HOST or HOST:PORT, brackets around IPv6, the port left out where it is the scheme's own.
  std::string authority() const;
};

// The error quotes the URL without its query, which may hold a secret.
Result<VoiceUrl> parse_voice_url(std::string_view url);

// Whether `url` lies under one of `allowed`: same scheme, host and port, and a path that is the
// allowed one or, where that ends in a slash, begins with it. No dot segments.
bool is_allowed_url(std::string_view url, const std::vector<std::string>& allowed);

}  // namespace relay
