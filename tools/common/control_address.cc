#include "tools/common/control_address.h"

#include <fmt/core.h>
#include <netdb.h>
#include <sys/un.h>

#include <charconv>
#include <memory>
#include <optional>

namespace relay::tools {
namespace {

struct Scheme {
  std::string_view prefix;
  ControlAddress::Kind kind;
  Family family;
};
constexpr Scheme kSchemes[] = {
    {"udp:", ControlAddress::Kind::udp, Family::ipv4},
    {"udp6:", ControlAddress::Kind::udp, Family::ipv6},
    {"tcp:", ControlAddress::Kind::tcp, Family::ipv4},
    {"tcp6:", ControlAddress::Kind::tcp, Family::ipv6},
    {"unix:", ControlAddress::Kind::unix_one, Family::none},
    {"cunix:", ControlAddress::Kind::unix_many, Family::none},
};

constexpr const char* kUsualPaths[] = {"/run/rtpp-relay.sock", "/var/run/rtpproxy.sock"};

std::optional<uint16_t> parse_port(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (value < 1 || value > 65535) return std::nullopt;
  return static_cast<uint16_t>(value);
}

// What a daemon binds as "any" is reached over loopback.
std::string reachable_host(std::string_view host, Family family) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (host == "*" || host == "0.0.0.0" || host == "::") {
    return family == Family::ipv6 ? "::1" : "127.0.0.1";
  }
  return std::string(host);
}

Result<ControlAddress> parse_host_port(const Scheme& scheme, std::string_view rest) {
  ControlAddress address{scheme.kind, scheme.family, {}, kDefaultControlPort, {}};
  std::string_view host = rest;
  const size_t colon = rest.rfind(':');
  if (colon != std::string_view::npos && !rest.ends_with(']')) {
    host = rest.substr(0, colon);
    const std::string_view port_text = rest.substr(colon + 1);
    if (!port_text.empty()) {
      const auto port = parse_port(port_text);
      if (!port) return fail(fmt::format("port \"{}\": expected 1 to 65535", port_text));
      address.port = *port;
    }
  }
  if (host.empty()) return fail(fmt::format("\"{}{}\" names no host", scheme.prefix, rest));
  address.host = reachable_host(host, scheme.family);
  return address;
}

}  // namespace

std::string ControlAddress::to_string() const {
  for (const Scheme& scheme : kSchemes) {
    if (scheme.kind != kind || scheme.family != family) continue;
    if (family == Family::none) return fmt::format("{}{}", scheme.prefix, path);
    return fmt::format("{}{}:{}", scheme.prefix, host, port);
  }
  return path;
}

Result<ControlAddress> parse_control_address(std::string_view text) {
  for (const Scheme& scheme : kSchemes) {
    if (!text.starts_with(scheme.prefix)) continue;
    const std::string_view rest = text.substr(scheme.prefix.size());
    if (scheme.family != Family::none) return parse_host_port(scheme, rest);
    if (rest.empty()) return fail(fmt::format("\"{}\" names no path", text));
    if (rest.size() >= sizeof(sockaddr_un::sun_path)) {
      return fail(fmt::format("socket path \"{}\" is {} bytes long: expected fewer than {}", rest,
                              rest.size(), sizeof(sockaddr_un::sun_path)));
    }
    return ControlAddress{scheme.kind, Family::none, {}, 0, std::string(rest)};
  }
  if (text.starts_with('/')) return parse_control_address(fmt::format("unix:{}", text));
  return fail(
      fmt::format("control socket \"{}\": expected udp:HOST:PORT, udp6:HOST:PORT, "
                  "tcp:HOST:PORT, tcp6:HOST:PORT, unix:PATH or cunix:PATH",
                  text));
}

std::string default_control_address(const std::string& from_environment,
                                    const std::function<bool(const std::string&)>& exists) {
  if (!from_environment.empty()) return from_environment;
  for (const char* path : kUsualPaths) {
    if (exists(path)) return fmt::format("unix:{}", path);
  }
  return fmt::format("unix:{}", kUsualPaths[0]);
}

Result<Endpoint> resolve(const ControlAddress& address) {
  if (const auto numeric = IpAddress::parse(address.host)) {
    if (numeric->family() != address.family) {
      return fail(fmt::format("{}: \"{}\" is of the other address family", address.to_string(),
                              address.host));
    }
    return Endpoint{*numeric, address.port};
  }
  addrinfo hints{};
  hints.ai_family = address.family == Family::ipv6 ? AF_INET6 : AF_INET;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(address.host.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    return fail(
        fmt::format("host \"{}\" cannot be resolved: {}", address.host, ::gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
  return Endpoint{to_endpoint(found->ai_addr).address, address.port};
}

}  // namespace relay::tools
