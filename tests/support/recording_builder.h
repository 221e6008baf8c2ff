// Recordings for tests, byte by byte: ad-hoc records and pcap files.
#pragma once

#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "tests/support/packet_builder.h"

namespace relay::testing {

inline std::string text_of(const Packet& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <typename Value>
std::string native(Value value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

inline std::string swapped(std::string bytes, bool swap) {
  return swap ? std::string(bytes.rbegin(), bytes.rend()) : bytes;
}

inline std::string big(uint64_t value, size_t bytes) {
  std::string text;
  while (bytes-- > 0) text += static_cast<char>((value >> (8 * bytes)) & 0xFF);
  return text;
}

// 192.0.2.1:41000, or 2001:db8::1.
inline std::string ad_hoc_record(double seconds, const Packet& payload, bool ipv6 = false) {
  std::string record = native(static_cast<uint16_t>(ipv6 ? 10 : 2)) + big(41000, 2);
  record +=
      ipv6 ? big(0x20010DB800000000, 8) + big(1, 8) : big(0xC0000201, 4) + std::string(12, '\0');
  record += native(seconds) + native(static_cast<uint16_t>(payload.size()));
  return record + text_of(payload);
}

struct PcapLayout {
  uint32_t link_type = 1;
  bool nanoseconds = false;
  bool swapped = false;  // the other byte order
};

inline std::string pcap_head(const PcapLayout& layout) {
  const auto put = [&](auto value) { return swapped(native(value), layout.swapped); };
  return put(layout.nanoseconds ? 0xA1B23C4DU : 0xA1B2C3D4U) + put(uint16_t{2}) + put(uint16_t{4}) +
         put(0U) + put(0U) + put(65535U) + put(layout.link_type);
}

inline std::string pcap_record(const PcapLayout& layout, int64_t arrival_ns,
                               const std::string& frame) {
  const auto put = [&](uint32_t value) { return swapped(native(value), layout.swapped); };
  const int64_t unit_ns = layout.nanoseconds ? 1 : 1000;
  return put(static_cast<uint32_t>(arrival_ns / 1'000'000'000)) +
         put(static_cast<uint32_t>(arrival_ns % 1'000'000'000 / unit_ns)) +
         put(static_cast<uint32_t>(frame.size())) + put(static_cast<uint32_t>(frame.size())) +
         frame;
}

inline std::string udp_datagram(const std::string& payload) {
  return big(41000, 2) + big(30000, 2) + big(payload.size() + 8, 2) + big(0, 2) + payload;
}

inline std::string ipv4_packet(const std::string& payload, unsigned flags_and_offset = 0,
                               unsigned protocol = 17) {
  return big(0x4500, 2) + big(payload.size() + 20, 2) + big(0, 2) + big(flags_and_offset, 2) +
         big(127, 1) + big(protocol, 1) + big(0, 2) + big(0xC0000201, 4) + big(0xC0000202, 4) +
         payload;
}

inline std::string ipv6_packet(const std::string& payload) {
  return big(0x60000000, 4) + big(payload.size(), 2) + big(17, 1) + big(64, 1) +
         big(0x20010DB800000000, 8) + big(1, 8) + big(0x20010DB800000000, 8) + big(2, 8) + payload;
}

}  // namespace relay::testing
