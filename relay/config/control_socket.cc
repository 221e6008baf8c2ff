#include "relay/config/control_socket.h"

#include <fmt/core.h>
#include <sys/un.h>

#include <algorithm>
#include <cctype>
#include <limits>
#include <optional>

#include "relay/base/log.h"

namespace relay {

std::string_view scheme_of(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return {};
  const std::string_view scheme = text.substr(0, colon);
  const bool is_word = std::all_of(scheme.begin(), scheme.end(),
                                   [](unsigned char c) { return std::isalnum(c) != 0; });
  return is_word ? scheme : std::string_view{};
}

Result<std::string> parse_path(const Setting& setting, std::string_view path) {
  if (path.empty()) return refuse(setting, "the path of the UNIX socket is empty");
  // unix(7): sun_path holds the path and its terminating zero.
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return refuse(setting, fmt::format("the path of the UNIX socket has {} bytes, at most {} fit",
                                       path.size(), sizeof(sockaddr_un::sun_path) - 1));
  }
  return std::string(path);
}

Result<uint16_t> parse_port(const Setting& setting, std::string_view text) {
  const Setting port{setting.option, std::string(text), setting.source};
  if (const auto value = parse_integer(port, 1, 65535)) return static_cast<uint16_t>(*value);
  return refuse(setting,
                fmt::format("port {}: expected a whole number from 1 to 65535", quoted(text)));
}

HostPort split_host_port(std::string_view text) {
  if (!text.empty() && text.front() == '[') {
    const size_t bracket = text.find(']');
    if (bracket != std::string_view::npos) {
      const std::string_view rest = text.substr(bracket + 1);
      if (rest.empty()) return {text, {}};
      if (rest.front() == ':') return {text.substr(0, bracket + 1), rest.substr(1)};
    }
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return {text, {}};
  const std::string_view host = text.substr(0, colon);
  if (!IpAddress::parse(host) && IpAddress::parse(text)) return {text, {}};
  return {host, text.substr(colon + 1)};
}

Result<Endpoint> parse_host_port(const Setting& setting, std::string_view text, Family family,
                                 std::optional<uint16_t> port_default, bool numeric_only) {
  const HostPort parts = split_host_port(text);
  Endpoint endpoint;
  if (!parts.port.empty()) {
    const auto port = parse_port(setting, parts.port);
    if (!port) return tl::unexpected(port.error());
    endpoint.port = *port;
  } else if (port_default) {
    endpoint.port = *port_default;
  } else {
    return refuse(setting, "the port is missing");
  }
  const auto address = resolve_address(setting, parts.host, family, numeric_only);
  if (!address) return tl::unexpected(address.error());
  endpoint.address = *address;
  return endpoint;
}

namespace {

Result<ControlSocketConfig> parse_network(const Setting& setting, ControlKind kind, Family family,
                                          std::string_view rest, bool numeric_only) {
  ControlSocketConfig socket{kind, setting.value, {}, {}, false};
  const auto endpoint = parse_host_port(setting, rest, family, kControlPortDefault, numeric_only);
  if (!endpoint) return tl::unexpected(endpoint.error());
  if (endpoint->address.is_multicast() || endpoint->address.is_broadcast()) {
    return refuse(setting, "a control socket cannot listen on a multicast or broadcast address");
  }
  socket.endpoint = *endpoint;
  return socket;
}

// A name, or an address without brackets, is of IPv4 if it can be.
Result<Endpoint> parse_remote(const Setting& setting, std::string_view text, bool numeric_only) {
  if (text.starts_with("[")) {
    return parse_host_port(setting, text, Family::ipv6, std::nullopt, numeric_only);
  }
  auto ipv4 = parse_host_port(setting, text, Family::ipv4, std::nullopt, numeric_only);
  if (ipv4 || numeric_only) return ipv4;
  auto ipv6 = parse_host_port(setting, text, Family::ipv6, std::nullopt, numeric_only);
  return ipv6 ? ipv6 : ipv4;
}

Result<ControlSocketConfig> parse_unix(const Setting& setting, ControlKind kind,
                                       std::string_view rest) {
  ControlSocketConfig socket{kind, setting.value, {}, {}, false};
  auto path = parse_path(setting, rest);
  if (!path) return tl::unexpected(path.error());
  socket.path = std::move(*path);
  return socket;
}

}  // namespace

Result<ControlSocketConfig> parse_control_socket(const Setting& setting, bool numeric_only) {
  const std::string_view text = setting.value;
  if (text.empty()) return refuse(setting, "expected a control socket such as udp:127.0.0.1:7722");
  const std::string_view scheme = scheme_of(text);
  if (scheme.data() == nullptr) return parse_unix(setting, ControlKind::unix_one_shot, text);
  const std::string_view rest = text.substr(scheme.size() + 1);
  const auto network = [&](ControlKind kind, Family family) {
    return parse_network(setting, kind, family, rest, numeric_only);
  };
  if (scheme == "udp") return network(ControlKind::udp, Family::ipv4);
  if (scheme == "udp6") return network(ControlKind::udp, Family::ipv6);
  if (scheme == "tcp") return network(ControlKind::tcp, Family::ipv4);
  if (scheme == "tcp6") return network(ControlKind::tcp, Family::ipv6);
  if (scheme == "unix") return parse_unix(setting, ControlKind::unix_one_shot, rest);
  if (scheme == "cunix") return parse_unix(setting, ControlKind::unix_stream, rest);
  if (scheme == "stdio" || scheme == "stdioc" || scheme == "systemd") {
    if (!rest.empty()) return refuse(setting, fmt::format("nothing may follow {}:", scheme));
    const auto kind = scheme == "systemd" ? ControlKind::systemd : ControlKind::stdio;
    return ControlSocketConfig{kind, setting.value, {}, {}, scheme == "stdioc"};
  }
  if (scheme == "fd") return refuse(setting, "fd: exists only in rtpproxy built as a library");
  return refuse(setting,
                fmt::format("unknown kind of control socket {}: expected udp:, udp6:, tcp:, "
                            "tcp6:, unix:, cunix:, stdio:, stdioc:, systemd: or a path",
                            quoted(scheme)));
}

Result<HepCollectorConfig> parse_hep_collector(const Setting& setting, bool numeric_only) {
  constexpr std::string_view kExpected = "expected udp:HOST:PORT or tcp:HOST:PORT, perhaps /ID";
  const std::string_view text = setting.value;
  const std::string_view scheme = scheme_of(text);
  if (scheme != "udp" && scheme != "tcp") return refuse(setting, kExpected);
  HepCollectorConfig collector{setting.value, scheme == "tcp", {}, 0};
  std::string_view rest = text.substr(scheme.size() + 1);
  if (const size_t slash = rest.rfind('/'); slash != rest.npos) {
    const Setting id{setting.option, std::string(rest.substr(slash + 1)), setting.source};
    const auto value = parse_integer(id, 0, std::numeric_limits<uint32_t>::max());
    if (!value) return tl::unexpected(with_context("capture id", value.error()));
    collector.capture_id = static_cast<uint32_t>(*value);
    rest = rest.substr(0, slash);
  }
  const auto endpoint = parse_remote(setting, rest, numeric_only);
  if (!endpoint) return tl::unexpected(endpoint.error());
  if (endpoint->address.is_any()) return refuse(setting, "a collector has an address of its own");
  collector.endpoint = *endpoint;
  return collector;
}

}  // namespace relay
