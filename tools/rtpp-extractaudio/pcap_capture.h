// Recordings in pcap files, through libpcap: either byte order, stamps in micro- or nanoseconds.
#pragma once

#include <array>
#include <cstdio>
#include <memory>
#include <string>

#include "tools/rtpp-extractaudio/capture.h"

namespace relay::tools {

struct StdioDeleter {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using StdioFile = std::unique_ptr<std::FILE, StdioDeleter>;

// Of the first bytes of a file.
bool is_pcap(const std::array<unsigned char, 4>& magic);

// The payload of each UDP datagram over IPv4 or IPv6 on Ethernet (802.1Q tags or none), BSD
// loopback, raw IP or Linux cooked links. Fragments are left out.
Result<Capture> read_pcap(const std::string& path, StdioFile file);

// The payload of the UDP datagram that an IP packet holds, as far as it was captured; nothing for
// other packets.
Bytes udp_payload(Bytes ip_packet);

}  // namespace relay::tools
