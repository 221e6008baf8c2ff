#include "relay/media/packet_records.h"

#include <arpa/inet.h>

#include <array>
#include <cstring>

#include "relay/rtp/demux.h"

namespace relay {
namespace {

constexpr uint16_t kEthernetHeaderBytes = 14, kUdpHeaderBytes = 8;
constexpr uint8_t kUdpProtocol = 17;

// As the host stores it.
template <typename Value>
void put(RecordBuffer& buffer, const Value& value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  buffer.insert(buffer.end(), bytes, bytes + sizeof value);
}

void put_be16(RecordBuffer& buffer, size_t value) {
  put(buffer, htons(static_cast<uint16_t>(value)));
}

size_t address_bytes(const IpAddress& address) {
  return address.is_ipv6() ? 16 : 4;
}

void put_address(RecordBuffer& buffer, const IpAddress& address) {
  const auto* bytes = reinterpret_cast<const std::byte*>(address.bytes().data());
  buffer.insert(buffer.end(), bytes, bytes + address_bytes(address));
}

// 00:00 and the IPv4 address; the IPv6 address folded.
void put_mac(RecordBuffer& buffer, const IpAddress& address) {
  std::array<uint8_t, 6> mac{};
  if (address.is_ipv6()) {
    for (size_t i = 0; i < 16; ++i) mac[i % 6] ^= address.bytes()[i];
  } else {
    std::memcpy(mac.data() + 2, address.bytes().data(), 4);
  }
  put(buffer, mac);
}

// RFC 1071: the one's complement of the one's complement sum.
class Checksum {
 public:
  void add(std::span<const std::byte> bytes) {
    for (size_t i = 0; i + 1 < bytes.size(); i += 2) sum_ += read_be16(bytes, i);
    if (bytes.size() % 2 != 0) sum_ += uint64_t{byte_at(bytes, bytes.size() - 1)} << 8;
  }
  void add(uint64_t number) { sum_ += number; }
  uint16_t result() const {
    uint64_t folded = sum_;
    while (folded >> 16 != 0) folded = (folded & 0xFFFF) + (folded >> 16);
    return static_cast<uint16_t>(~folded);
  }

 private:
  uint64_t sum_ = 0;
};

void put_ipv4_header(RecordBuffer& buffer, const IpAddress& source, const IpAddress& local,
                     size_t udp_bytes, uint16_t id) {
  const size_t start = buffer.size();
  put_be16(buffer, 0x4500);
  put_be16(buffer, 20 + udp_bytes);
  put_be16(buffer, id);
  put_be16(buffer, 0);
  put_be16(buffer, 127 << 8 | kUdpProtocol);
  put_be16(buffer, 0);
  put_address(buffer, source);
  put_address(buffer, local);
  Checksum sum;
  sum.add(std::span(buffer).subspan(start));
  write_be16(buffer, start + 10, sum.result());
}

void put_ipv6_header(RecordBuffer& buffer, const IpAddress& source, const IpAddress& local,
                     size_t udp_bytes) {
  put_be16(buffer, 0x6000);
  put_be16(buffer, 0);
  put_be16(buffer, udp_bytes);
  put_be16(buffer, kUdpProtocol << 8 | 64);
  put_address(buffer, source);
  put_address(buffer, local);
}

void put_udp(RecordBuffer& buffer, const RecordedPacket& packet, const IpAddress& local) {
  const size_t start = buffer.size();
  const size_t bytes = kUdpHeaderBytes + packet.bytes.size();
  put_be16(buffer, packet.source.port);
  put_be16(buffer, packet.local.port);
  put_be16(buffer, bytes);
  put_be16(buffer, 0);
  buffer.insert(buffer.end(), packet.bytes.begin(), packet.bytes.end());
  Checksum sum;  // over a pseudo header, too: RFC 768, RFC 8200 §8.1
  for (const IpAddress& address : {packet.source.address, local}) {
    sum.add(std::as_bytes(std::span(address.bytes())));
  }
  sum.add(kUdpProtocol);
  sum.add(bytes);
  sum.add(std::span(buffer).subspan(start));
  const uint16_t result = sum.result();
  write_be16(buffer, start + 6, result != 0 ? result : 0xFFFF);
}

}  // namespace

void append_adhoc(const RecordedPacket& packet, RecordBuffer& buffer) {
  const bool is_ipv6 = packet.source.address.is_ipv6();
  put(buffer, static_cast<uint16_t>(is_ipv6 ? AF_INET6 : AF_INET));
  put_be16(buffer, packet.source.port);
  put(buffer, packet.source.address.bytes());
  put(buffer, static_cast<double>(packet.wall_ns) / 1e9);
  put(buffer, static_cast<uint16_t>(packet.bytes.size()));
  buffer.insert(buffer.end(), packet.bytes.begin(), packet.bytes.end());
}

void append_pcap_file_header(RecordBuffer& buffer) {
  put(buffer, uint32_t{0xA1B2C3D4});
  put(buffer, uint16_t{2});
  put(buffer, uint16_t{4});
  put(buffer, uint64_t{0});      // time zone, accuracy
  put(buffer, uint32_t{65535});  // longest record
  put(buffer, uint32_t{1});      // Ethernet
}

void append_pcap(const RecordedPacket& packet, uint16_t id, RecordBuffer& buffer) {
  const IpAddress& source = packet.source.address;
  const IpAddress local = packet.local.address.family() == source.family()
                              ? packet.local.address
                              : IpAddress::any(source.family());
  const size_t ip_header_bytes = source.is_ipv6() ? 40 : 20;
  const size_t udp_bytes = kUdpHeaderBytes + packet.bytes.size();
  const auto frame_bytes =
      static_cast<uint32_t>(kEthernetHeaderBytes + ip_header_bytes + udp_bytes);
  put(buffer, static_cast<uint32_t>(packet.wall_ns / 1'000'000'000));
  put(buffer, static_cast<uint32_t>(packet.wall_ns % 1'000'000'000 / 1000));
  put(buffer, frame_bytes);
  put(buffer, frame_bytes);
  put_mac(buffer, local);
  put_mac(buffer, source);
  put_be16(buffer, source.is_ipv6() ? 0x86DD : 0x0800);
  if (source.is_ipv6()) {
    put_ipv6_header(buffer, source, local, udp_bytes);
  } else {
    put_ipv4_header(buffer, source, local, udp_bytes, id);
  }
  put_udp(buffer, packet, local);
}

}  // namespace relay
