// The text of -s and --hep as values, and the pieces that -n shares with them.
#pragma once

#include <optional>

#include "relay/config/check.h"
#include "relay/config/config.h"

namespace relay {

inline constexpr uint16_t kControlPortDefault = 22222;

Result<ControlSocketConfig> parse_control_socket(const Setting& setting, bool numeric_only);

// "udp" of "udp:…"; data() is nullptr for a path, which has a slash before its first colon, or no
// colon.
std::string_view scheme_of(std::string_view text);
// Of a UNIX socket: neither empty nor too long for a sockaddr_un.
Result<std::string> parse_path(const Setting& setting, std::string_view path);
Result<uint16_t> parse_port(const Setting& setting, std::string_view text);

struct HostPort {
  std::string_view host, port;
};
// At the last colon, as rtpproxy does, so that `udp6:::1:9000` is host ::1, port 9000; further than
// rtpproxy, brackets are understood and a lone IPv6 address needs no port.
HostPort split_host_port(std::string_view text);
// Looks names up unless `numeric_only`. Without `port_default` the port must be there.
Result<Endpoint> parse_host_port(const Setting& setting, std::string_view text, Family family,
                                 std::optional<uint16_t> port_default, bool numeric_only);

Result<HepCollectorConfig> parse_hep_collector(const Setting& setting, bool numeric_only);

}  // namespace relay
