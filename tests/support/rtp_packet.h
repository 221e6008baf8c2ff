// Smallest packets for tests that do not care what is in them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace relay {

// 20 ms of PCMU silence.
inline std::array<std::byte, 172> rtp_packet(uint16_t sequence, uint32_t ssrc = 0x1234) {
  std::array<std::byte, 172> packet{};
  const auto put = [&](size_t at, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) {
      packet[at + static_cast<size_t>(i)] = static_cast<std::byte>(value >> (8 * (bytes - 1 - i)));
    }
  };
  packet[0] = std::byte{0x80};
  put(2, sequence, 2);
  put(4, uint32_t{sequence} * 160, 4);
  put(8, ssrc, 4);
  return packet;
}

}  // namespace relay
