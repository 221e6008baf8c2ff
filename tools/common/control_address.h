// Where a relay's control socket is, in the words of the daemon's -s option.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/endpoint.h"
#include "relay/base/result.h"

namespace relay::tools {

inline constexpr uint16_t kDefaultControlPort = 22222;

struct ControlAddress {
  enum class Kind : uint8_t {
    udp,        // cookie-framed datagrams
    unix_one,   // unix: one command a connection
    unix_many,  // cunix: lines on a lasting connection
    tcp,        // lines on a lasting connection
  };
  Kind kind = Kind::unix_one;
  Family family = Family::none;  // udp and tcp only
  std::string host;              // udp and tcp only; a name or a numeric address
  uint16_t port = 0;
  std::string path;  // unix_one and unix_many only

  // As -s takes it.
  std::string to_string() const;
  friend bool operator==(const ControlAddress&, const ControlAddress&) = default;
};

// udp:HOST[:PORT], udp6:, tcp:, tcp6:, unix:PATH, cunix:PATH, or a bare PATH that begins with `/`.
// The port is what follows the last colon, 22222 when nothing does. Wildcards stand for loopback.
Result<ControlAddress> parse_control_address(std::string_view text);

// The address to use when nobody named one: `from_environment` unless empty, else the first of the
// usual paths that `exists`, else the first of them.
std::string default_control_address(const std::string& from_environment,
                                    const std::function<bool(const std::string&)>& exists);

// The endpoint of a udp or tcp address; asks the resolver for names, so it may block.
Result<Endpoint> resolve(const ControlAddress& address);

}  // namespace relay::tools
