// Ethernet frames with one UDP datagram, built and read without the kernel's help: for the
// self-test and for tests.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "relay/base/endpoint.h"

namespace relay {

struct TestFrame {
  Endpoint source, destination;
  std::vector<std::byte> payload;
  uint8_t tos = 0, ttl = 64;
  bool udp_checksum = true;  // false: zero, which IPv4 takes for "none"
};

std::vector<std::byte> build_frame(const TestFrame& frame);
// Nothing if a length, a checksum or a header is not as it must be.
std::optional<TestFrame> read_frame(std::span<const std::byte> bytes);

}  // namespace relay
