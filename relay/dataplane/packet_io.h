// One datagram in, one datagram out: the system calls of the packet path. Nothing here blocks.
#pragma once

#include <cstddef>
#include <span>

#include "relay/base/endpoint.h"
#include "relay/rtp/demux.h"

namespace relay {

// Larger datagrams than this are dropped as truncated: UDP over any real path is far below.
inline constexpr size_t kReceiveBufferBytes = 8192;

struct ReceivedPacket {
  Endpoint source;
  IpAddress local;        // the address it was sent to; only from receive_with_local
  uint32_t mark = 0;      // of the packet in the kernel; only from receive_with_mark
  Bytes bytes;            // in the caller's buffer
  size_t wire_bytes = 0;  // more than bytes.size() when it did not fit
  bool truncated() const { return wire_bytes > bytes.size(); }
};

// All return 0 or an errno; EAGAIN means nothing to read, or no room to send.
int receive(int fd, std::span<std::byte> buffer, ReceivedPacket& packet);
// For sockets bound to a wildcard, after enable_local_address().
int receive_with_local(int fd, std::span<std::byte> buffer, ReceivedPacket& packet);
// After enable_mark().
int receive_with_mark(int fd, std::span<std::byte> buffer, ReceivedPacket& packet);
int send(int fd, const Endpoint& destination, Bytes bytes);
// To where the socket is connected to.
int send_connected(int fd, Bytes bytes);
// Leaves with `local` as source address. Requires: both addresses are of the socket's family.
int send_from(int fd, const IpAddress& local, const Endpoint& destination, Bytes bytes);

// Asks the kernel to say which local address each datagram was sent to.
int enable_local_address(int fd, Family family);
// Asks it for each datagram's mark (SO_RCVMARK, Linux 5.19).
int enable_mark(int fd);

}  // namespace relay
