// The formats that keep packets as they were received: rtpproxy's ad-hoc one and pcap. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "relay/media/recorded_packet.h"

namespace relay {

using RecordBuffer = std::vector<std::byte>;

// Ad-hoc, as rtpp-extractaudio and rtpproxy's extractaudio read it: address family, port and
// address of the sender, time of arrival as a double, length; what is no address in the byte order
// of the host.
void append_adhoc(const RecordedPacket& packet, RecordBuffer& buffer);

// pcap 2.4, link type Ethernet. Headers below UDP are made up: addresses and ports are the real
// ones, MAC addresses are made of the IP addresses, checksums are right. `id` is the IPv4
// identification; it only tells records apart.
void append_pcap_file_header(RecordBuffer& buffer);
void append_pcap(const RecordedPacket& packet, uint16_t id, RecordBuffer& buffer);

}  // namespace relay
