// Datagrams of a control socket by the burst: one system call reads some, one sends the replies.
// Control thread only.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "ctlproto/parse.h"
#include "relay/base/endpoint.h"

namespace relay {

inline constexpr size_t kDatagramsPerBurst = 16;

// Kamailio and OpenSIPS connect their sockets: a reply that leaves from another address than the
// one asked is never seen.
struct ReplyPath {
  SocketAddress peer;
  Endpoint local;
  unsigned interface = 0;  // 0: routing decides
};

struct ControlDatagram {
  ReplyPath path;
  std::string_view text;
  bool truncated = false;
};

class DatagramReader {
 public:
  // What a wildcard socket or a multicast datagram leaves open of a datagram's local address is
  // taken from `bound`.
  explicit DatagramReader(const Endpoint& bound) : bound_(bound) {}

  // At most `most` of the datagrams that wait, valid until the next call; none: errno tells why.
  std::span<const ControlDatagram> read(int socket, size_t most);
  // Datagrams that the kernel is known to have dropped since this was asked last.
  uint32_t take_lost() { return std::exchange(lost_, 0); }

 private:
  struct Room {
    std::array<char, ctlproto::kCommandBytesMax> text;
    alignas(cmsghdr) std::array<char, 256> ancillary;
  };

  void read_ancillary(msghdr& message, ReplyPath& path);

  const Endpoint bound_;
  uint32_t lost_ = 0, lost_in_kernel_ = 0;  // the latter the kernel's running count
  std::array<Room, kDatagramsPerBurst> rooms_;
  std::array<ControlDatagram, kDatagramsPerBurst> datagrams_;
};

class ReplySender {
 public:
  // Requires: not full().
  void add(const ReplyPath& path, std::string_view reply);
  bool empty() const { return size_ == 0; }
  // To be sent before more is added.
  bool full() const { return size_ == kDatagramsPerBurst || text_.size() >= kTextBytesMax; }
  // Returns how many the kernel did not take now. Those are gone, too: the clients ask again.
  size_t send(int socket, std::string_view name_for_log);

 private:
  // A burst of long replies goes out bit by bit, as fast as they are made.
  static constexpr size_t kTextBytesMax = 65'536;
  struct Reply {
    ReplyPath path;
    size_t begin = 0, end = 0;
  };

  std::string text_;
  std::array<Reply, kDatagramsPerBurst> replies_;
  size_t size_ = 0;
};

}  // namespace relay
