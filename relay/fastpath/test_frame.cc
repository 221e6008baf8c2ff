#include "relay/fastpath/test_frame.h"

#include <cstring>

namespace relay {
namespace {

constexpr size_t kEthernetBytes = 14, kIpv4Bytes = 20, kIpv6Bytes = 40, kUdpBytes = 8;
constexpr uint8_t kUdpProtocol = 17;

using Frame = std::vector<std::byte>;

void put8(Frame& frame, size_t at, unsigned value) {
  frame[at] = static_cast<std::byte>(value);
}
void put16(Frame& frame, size_t at, size_t value) {
  put8(frame, at, static_cast<unsigned>(value >> 8) & 0xFF);
  put8(frame, at + 1, static_cast<unsigned>(value) & 0xFF);
}
uint8_t get8(std::span<const std::byte> bytes, size_t at) {
  return static_cast<uint8_t>(bytes[at]);
}
uint16_t get16(std::span<const std::byte> bytes, size_t at) {
  return static_cast<uint16_t>(get8(bytes, at) << 8 | get8(bytes, at + 1));
}

// RFC 1071.
uint32_t add_words(std::span<const std::byte> bytes, uint32_t sum) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += uint32_t{get8(bytes, i)} << (i % 2 == 0 ? 8 : 0);
  }
  return sum;
}
uint16_t fold(uint32_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// Over the pseudo header and the datagram, whose checksum field counts as it is.
uint16_t udp_sum(std::span<const std::byte> ip, size_t header_bytes, bool ipv6) {
  const auto addresses = ipv6 ? ip.subspan(8, 32) : ip.subspan(12, 8);
  const auto datagram = ip.subspan(header_bytes);
  const auto length = static_cast<uint32_t>(datagram.size());
  return fold(add_words(datagram, add_words(addresses, kUdpProtocol + length)));
}

void put_address(Frame& frame, size_t at, const IpAddress& address) {
  std::memcpy(&frame[at], address.bytes().data(), address.is_ipv6() ? 16 : 4);
}

IpAddress get_address(std::span<const std::byte> bytes, size_t at, bool ipv6) {
  if (ipv6) {
    in6_addr address{};
    std::memcpy(&address, &bytes[at], sizeof address);
    return IpAddress::from_ipv6(address);
  }
  in_addr address{};
  std::memcpy(&address, &bytes[at], sizeof address);
  return IpAddress::from_ipv4(address);
}

}  // namespace

std::vector<std::byte> build_frame(const TestFrame& frame) {
  const bool ipv6 = frame.source.address.is_ipv6();
  const size_t header_bytes = ipv6 ? kIpv6Bytes : kIpv4Bytes;
  const size_t ip = kEthernetBytes, udp = ip + header_bytes;
  const size_t udp_bytes = kUdpBytes + frame.payload.size();
  Frame bytes(udp + udp_bytes);
  put16(bytes, 12, ipv6 ? 0x86DD : 0x0800);
  if (ipv6) {
    put16(bytes, ip, 0x6000U | unsigned{frame.tos} << 4);
    put16(bytes, ip + 4, udp_bytes);
    put8(bytes, ip + 6, kUdpProtocol);
    put8(bytes, ip + 7, frame.ttl);
  } else {
    put8(bytes, ip, 0x45);
    put8(bytes, ip + 1, frame.tos);
    put16(bytes, ip + 2, header_bytes + udp_bytes);
    put8(bytes, ip + 8, frame.ttl);
    put8(bytes, ip + 9, kUdpProtocol);
  }
  put_address(bytes, ip + (ipv6 ? 8 : 12), frame.source.address);
  put_address(bytes, ip + (ipv6 ? 24 : 16), frame.destination.address);
  if (!ipv6) {
    const auto header = std::span<const std::byte>(bytes).subspan(ip, header_bytes);
    put16(bytes, ip + 10, static_cast<uint16_t>(~fold(add_words(header, 0))));
  }
  put16(bytes, udp, frame.source.port);
  put16(bytes, udp + 2, frame.destination.port);
  put16(bytes, udp + 4, udp_bytes);
  if (!frame.payload.empty()) {
    std::memcpy(&bytes[udp + kUdpBytes], frame.payload.data(), frame.payload.size());
  }
  if (frame.udp_checksum) {
    const auto packet = std::span<const std::byte>(bytes).subspan(ip);
    const auto checksum = static_cast<uint16_t>(~udp_sum(packet, header_bytes, ipv6));
    put16(bytes, udp + 6, checksum == 0 ? 0xFFFF : checksum);
  }
  return bytes;
}

std::optional<TestFrame> read_frame(std::span<const std::byte> bytes) {
  if (bytes.size() < kEthernetBytes + kIpv4Bytes + kUdpBytes) return std::nullopt;
  const bool ipv6 = get16(bytes, 12) == 0x86DD;
  const size_t header_bytes = ipv6 ? kIpv6Bytes : kIpv4Bytes;
  auto ip = bytes.subspan(kEthernetBytes);
  if (ip.size() < header_bytes + kUdpBytes || get8(ip, 0) >> 4 != (ipv6 ? 6 : 4)) {
    return std::nullopt;
  }
  const size_t ip_bytes = ipv6 ? header_bytes + get16(ip, 4) : get16(ip, 2);
  if (ip_bytes > ip.size() || ip_bytes < header_bytes + kUdpBytes) return std::nullopt;
  ip = ip.first(ip_bytes);
  if (!ipv6 && fold(add_words(ip.first(header_bytes), 0)) != 0xFFFF) return std::nullopt;
  const auto udp = ip.subspan(header_bytes);
  if (get16(udp, 4) != udp.size()) return std::nullopt;
  TestFrame frame;
  frame.udp_checksum = get16(udp, 6) != 0;
  if (frame.udp_checksum && udp_sum(ip, header_bytes, ipv6) != 0xFFFF) return std::nullopt;
  if (!frame.udp_checksum && ipv6) return std::nullopt;
  frame.source = {get_address(ip, ipv6 ? 8 : 12, ipv6), get16(udp, 0)};
  frame.destination = {get_address(ip, ipv6 ? 24 : 16, ipv6), get16(udp, 2)};
  frame.tos = ipv6 ? static_cast<uint8_t>(get16(ip, 0) >> 4) : get8(ip, 1);
  frame.ttl = get8(ip, ipv6 ? 7 : 8);
  const auto payload = udp.subspan(kUdpBytes);
  frame.payload.assign(payload.begin(), payload.end());
  return frame;
}

}  // namespace relay
