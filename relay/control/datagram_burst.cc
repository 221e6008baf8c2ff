#include "relay/control/datagram_burst.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "relay/base/assert.h"
#include "relay/base/log.h"

namespace relay {

namespace {

// What is kept of the memory that long replies have taken.
constexpr size_t kTextBytesKept = 131'072;

bool is_link_local(const IpAddress& address) {
  const auto& bytes = address.bytes();
  return address.is_ipv6() ? bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80
                           : bytes[0] == 169 && bytes[1] == 254;
}

template <typename T>
T ancillary(const cmsghdr* header) {
  T value;
  std::memcpy(&value, CMSG_DATA(header), sizeof value);
  return value;
}

template <typename T>
void put_ancillary(msghdr& message, int level, int type, const T& value) {
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(header), &value, sizeof value);
  message.msg_controllen = CMSG_SPACE(sizeof value);
}

void put_source(msghdr& message, const ReplyPath& path) {
  const SocketAddress local = to_socket_address(path.local);
  if (local.storage.ss_family == AF_INET6) {
    in6_pktinfo info{};
    info.ipi6_addr = reinterpret_cast<const sockaddr_in6*>(&local.storage)->sin6_addr;
    info.ipi6_ifindex = path.interface;
    put_ancillary(message, IPPROTO_IPV6, IPV6_PKTINFO, info);
  } else {
    in_pktinfo info{};
    info.ipi_spec_dst = reinterpret_cast<const sockaddr_in*>(&local.storage)->sin_addr;
    info.ipi_ifindex = static_cast<int>(path.interface);
    put_ancillary(message, IPPROTO_IP, IP_PKTINFO, info);
  }
}

}  // namespace

std::span<const ControlDatagram> DatagramReader::read(int socket, size_t most) {
  std::array<mmsghdr, kDatagramsPerBurst> messages;
  std::array<iovec, kDatagramsPerBurst> parts;
  most = std::min(most, kDatagramsPerBurst);
  for (size_t i = 0; i < most; ++i) {
    Room& room = rooms_[i];
    SocketAddress& peer = datagrams_[i].path.peer;
    parts[i] = {room.text.data(), room.text.size()};
    messages[i] = {};
    msghdr& message = messages[i].msg_hdr;
    message.msg_name = peer.get();
    message.msg_namelen = sizeof peer.storage;
    message.msg_iov = &parts[i];
    message.msg_iovlen = 1;
    message.msg_control = room.ancillary.data();
    message.msg_controllen = room.ancillary.size();
  }
  const int received = ::recvmmsg(socket, messages.data(), static_cast<unsigned>(most), 0, nullptr);
  if (received < 0) return {};
  for (size_t i = 0; i < static_cast<size_t>(received); ++i) {
    ControlDatagram& datagram = datagrams_[i];
    msghdr& message = messages[i].msg_hdr;
    datagram.path.peer.length = message.msg_namelen;
    datagram.text = {rooms_[i].text.data(), messages[i].msg_len};
    datagram.truncated = (message.msg_flags & MSG_TRUNC) != 0;
    read_ancillary(message, datagram.path);
  }
  return std::span(datagrams_).first(static_cast<size_t>(received));
}

void DatagramReader::read_ancillary(msghdr& message, ReplyPath& path) {
  path.local = bound_;
  unsigned interface = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
      const auto info = ancillary<in_pktinfo>(header);
      // For a broadcast request ipi_addr is the broadcast address, ipi_spec_dst one of ours.
      path.local.address = IpAddress::from_ipv4(info.ipi_spec_dst);
      interface = static_cast<unsigned>(info.ipi_ifindex);
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
      const auto info = ancillary<in6_pktinfo>(header);
      const IpAddress address = IpAddress::from_ipv6(info.ipi6_addr);
      if (!address.is_multicast()) path.local.address = address;
      interface = info.ipi6_ifindex;
    } else if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SO_RXQ_OVFL) {
      const auto lost = ancillary<uint32_t>(header);
      lost_ += lost - lost_in_kernel_;
      lost_in_kernel_ = lost;
    }
  }
  path.interface = is_link_local(path.local.address) ? interface : 0;
}

void ReplySender::add(const ReplyPath& path, std::string_view reply) {
  RELAY_ASSERT(!full());
  Reply& added = replies_[size_++];
  added.path = path;
  added.begin = text_.size();
  text_ += reply;
  added.end = text_.size();
}

size_t ReplySender::send(int socket, std::string_view name_for_log) {
  using SourceAddress = std::array<char, CMSG_SPACE(sizeof(in6_pktinfo))>;
  std::array<mmsghdr, kDatagramsPerBurst> messages;
  std::array<iovec, kDatagramsPerBurst> parts;
  alignas(cmsghdr) std::array<SourceAddress, kDatagramsPerBurst> sources{};
  for (size_t i = 0; i < size_; ++i) {
    Reply& reply = replies_[i];
    parts[i] = {text_.data() + reply.begin, reply.end - reply.begin};
    messages[i] = {};
    msghdr& message = messages[i].msg_hdr;
    message.msg_name = reply.path.peer.get();
    message.msg_namelen = reply.path.peer.length;
    message.msg_iov = &parts[i];
    message.msg_iovlen = 1;
    message.msg_control = sources[i].data();
    message.msg_controllen = sources[i].size();
    put_source(message, reply.path);
  }
  size_t dropped = 0;
  for (size_t done = 0; done < size_;) {
    const int sent =
        ::sendmmsg(socket, &messages[done], static_cast<unsigned>(size_ - done), MSG_NOSIGNAL);
    if (sent > 0) {
      done += static_cast<size_t>(sent);
    } else if (errno != EINTR) {
      ++dropped;
      log_debug("control reply dropped socket={} bytes={} reason={}", quoted(name_for_log),
                parts[done].iov_len, std::strerror(errno));
      ++done;
    }
  }
  size_ = 0;
  text_.clear();
  if (text_.capacity() > kTextBytesKept) text_.shrink_to_fit();
  return dropped;
}

}  // namespace relay
