#include "relay/base/endpoint.h"

#include <arpa/inet.h>

#include <algorithm>

namespace relay {

IpAddress IpAddress::from_ipv4(in_addr address) {
  IpAddress result;
  result.family_ = Family::ipv4;
  std::memcpy(result.bytes_.data(), &address, sizeof address);
  return result;
}

IpAddress IpAddress::from_ipv6(const in6_addr& address) {
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    in_addr mapped{};
    std::memcpy(&mapped, &address.s6_addr[12], sizeof mapped);
    return from_ipv4(mapped);
  }
  IpAddress result;
  result.family_ = Family::ipv6;
  std::memcpy(result.bytes_.data(), &address, sizeof address);
  return result;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  char buffer[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof buffer) return std::nullopt;
  std::copy(text.begin(), text.end(), buffer);
  buffer[text.size()] = '\0';
  if (in_addr v4{}; ::inet_pton(AF_INET, buffer, &v4) == 1) return from_ipv4(v4);
  if (in6_addr v6{}; ::inet_pton(AF_INET6, buffer, &v6) == 1) return from_ipv6(v6);
  return std::nullopt;
}

IpAddress IpAddress::any(Family family) {
  IpAddress result;
  result.family_ = family;
  return result;
}

bool IpAddress::is_any() const {
  return valid() && std::all_of(bytes_.begin(), bytes_.end(), [](uint8_t b) { return b == 0; });
}

bool IpAddress::is_multicast() const {
  if (family_ == Family::ipv4) return (bytes_[0] & 0xF0) == 0xE0;
  return family_ == Family::ipv6 && bytes_[0] == 0xFF;
}

bool IpAddress::is_loopback() const {
  if (family_ == Family::ipv4) return bytes_[0] == 127;
  return family_ == Family::ipv6 && bytes_[15] == 1 &&
         std::all_of(bytes_.begin(), bytes_.end() - 1, [](uint8_t b) { return b == 0; });
}

bool IpAddress::is_broadcast() const {
  return family_ == Family::ipv4 &&
         std::all_of(bytes_.begin(), bytes_.begin() + 4, [](uint8_t b) { return b == 255; });
}

std::string IpAddress::to_string() const {
  char buffer[INET6_ADDRSTRLEN] = "";
  if (!valid()) return "(none)";
  ::inet_ntop(is_ipv6() ? AF_INET6 : AF_INET, bytes_.data(), buffer, sizeof buffer);
  return buffer;
}

std::optional<Endpoint> Endpoint::with_port_offset(int offset) const {
  const int shifted = port + offset;
  if (shifted < 1 || shifted > 65535) return std::nullopt;
  return Endpoint{address, static_cast<uint16_t>(shifted)};
}

std::string Endpoint::to_string() const {
  if (!valid()) return "(none)";
  const std::string text = address.to_string();
  return (address.is_ipv6() ? "[" + text + "]" : text) + ":" + std::to_string(port);
}

SocketAddress to_socket_address(const Endpoint& endpoint) {
  SocketAddress result;
  if (endpoint.address.is_ipv6()) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.port);
    std::memcpy(&v6.sin6_addr, endpoint.address.bytes().data(), sizeof v6.sin6_addr);
    std::memcpy(&result.storage, &v6, sizeof v6);
    result.length = sizeof v6;
  } else {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, endpoint.address.bytes().data(), sizeof v4.sin_addr);
    std::memcpy(&result.storage, &v4, sizeof v4);
    result.length = sizeof v4;
  }
  return result;
}

Endpoint to_endpoint(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    return {IpAddress::from_ipv4(v4.sin_addr), ntohs(v4.sin_port)};
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address, sizeof v6);
    return {IpAddress::from_ipv6(v6.sin6_addr), ntohs(v6.sin6_port)};
  }
  return {};
}

}  // namespace relay
