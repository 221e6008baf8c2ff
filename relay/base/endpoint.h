// IP address and port as values. Ports are in host order; address bytes in network order.
// No name resolution here: text is numeric or it is nothing.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace relay {

enum class Family : uint8_t { none = 0, ipv4 = 4, ipv6 = 6 };

class IpAddress {
 public:
  IpAddress() = default;
  static IpAddress from_ipv4(in_addr address);
  // An IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) becomes the IPv4 address it stands for.
  static IpAddress from_ipv6(const in6_addr& address);
  static std::optional<IpAddress> parse(std::string_view text);
  static IpAddress any(Family family);

  Family family() const { return family_; }
  bool valid() const { return family_ != Family::none; }
  bool is_ipv6() const { return family_ == Family::ipv6; }
  bool is_any() const;        // 0.0.0.0 or ::
  bool is_multicast() const;  // 224.0.0.0/4 or ff00::/8
  bool is_loopback() const;   // 127.0.0.0/8 or ::1
  bool is_broadcast() const;  // 255.255.255.255

  // 4 or 16 bytes in network order; the rest of the array is zero.
  const std::array<uint8_t, 16>& bytes() const { return bytes_; }
  std::string to_string() const;

  friend bool operator==(const IpAddress&, const IpAddress&) = default;

 private:
  std::array<uint8_t, 16> bytes_{};
  Family family_ = Family::none;
};

struct Endpoint {
  IpAddress address;
  uint16_t port = 0;

  bool valid() const { return address.valid(); }
  // The endpoint `offset` ports further; nothing when that would leave 1..65535.
  std::optional<Endpoint> with_port_offset(int offset) const;
  // "192.0.2.1:5000", "[2001:db8::1]:5000".
  std::string to_string() const;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// A sockaddr of either family together with its length, for the system calls.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress to_socket_address(const Endpoint& endpoint);
// An endpoint without address (valid() == false) for anything but AF_INET and AF_INET6.
Endpoint to_endpoint(const sockaddr* address);
inline Endpoint to_endpoint(const SocketAddress& address) {
  return to_endpoint(address.get());
}

}  // namespace relay

template <>
struct std::hash<relay::IpAddress> {
  size_t operator()(const relay::IpAddress& address) const noexcept {
    uint64_t halves[2];
    std::memcpy(halves, address.bytes().data(), sizeof halves);
    return static_cast<size_t>((halves[0] * 0x9E3779B97F4A7C15ULL) ^
                               (halves[1] * 0xC2B2AE3D27D4EB4FULL));
  }
};

template <>
struct std::hash<relay::Endpoint> {
  size_t operator()(const relay::Endpoint& endpoint) const noexcept {
    return std::hash<relay::IpAddress>{}(endpoint.address) * 31 + endpoint.port;
  }
};
