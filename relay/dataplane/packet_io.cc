#include "relay/dataplane/packet_io.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "relay/base/socket_options.h"

namespace relay {
namespace {

union SocketName {
  sockaddr any;
  sockaddr_in ipv4;
  sockaddr_in6 ipv6;
};

union LocalAddressControl {
  cmsghdr align;
  char ipv4[CMSG_SPACE(sizeof(in_pktinfo))];
  char ipv6[CMSG_SPACE(sizeof(in6_pktinfo))];
};

socklen_t fill(SocketName& name, const Endpoint& endpoint) {
  if (endpoint.address.is_ipv6()) {
    name.ipv6 = sockaddr_in6{};
    name.ipv6.sin6_family = AF_INET6;
    name.ipv6.sin6_port = htons(endpoint.port);
    std::memcpy(&name.ipv6.sin6_addr, endpoint.address.bytes().data(), sizeof(in6_addr));
    return sizeof(sockaddr_in6);
  }
  name.ipv4 = sockaddr_in{};
  name.ipv4.sin_family = AF_INET;
  name.ipv4.sin_port = htons(endpoint.port);
  std::memcpy(&name.ipv4.sin_addr, endpoint.address.bytes().data(), sizeof(in_addr));
  return sizeof(sockaddr_in);
}

void store(ReceivedPacket& packet, std::span<std::byte> buffer, const SocketName& source,
           ssize_t wire_bytes) {
  packet.source = to_endpoint(&source.any);
  packet.wire_bytes = static_cast<size_t>(wire_bytes);
  packet.bytes =
      buffer.first(packet.wire_bytes < buffer.size() ? packet.wire_bytes : buffer.size());
}

IpAddress local_address(msghdr& message) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      in_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      // Linux 6.18 leaves ipi_spec_dst empty in datagrams queued before IP_PKTINFO was set; to a
      // unicast datagram ipi_addr is the same.
      const bool queued_before = info.ipi_spec_dst.s_addr == 0;
      return IpAddress::from_ipv4(queued_before ? info.ipi_addr : info.ipi_spec_dst);
    }
    if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      return IpAddress::from_ipv6(info.ipi6_addr);
    }
  }
  return {};
}

template <typename Info>
void put_local_address(msghdr& message, LocalAddressControl& control, int level, int type,
                       const Info& info) {
  message.msg_control = &control;
  message.msg_controllen = CMSG_SPACE(sizeof info);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(sizeof info);
  std::memcpy(CMSG_DATA(header), &info, sizeof info);
}

// `message` names the control buffer.
int receive_message(int fd, std::span<std::byte> buffer, msghdr& message, ReceivedPacket& packet) {
  SocketName source;
  iovec part{buffer.data(), buffer.size()};
  message.msg_name = &source;
  message.msg_namelen = sizeof source;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const ssize_t n = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_TRUNC);
  if (n < 0) return errno;
  store(packet, buffer, source, n);
  return 0;
}

}  // namespace

// MSG_TRUNC makes recvfrom return the datagram's real length, so no msghdr is needed to see that
// it did not fit.
int receive(int fd, std::span<std::byte> buffer, ReceivedPacket& packet) {
  SocketName source;
  socklen_t source_bytes = sizeof source;
  const ssize_t n = ::recvfrom(fd, buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC,
                               &source.any, &source_bytes);
  if (n < 0) return errno;
  store(packet, buffer, source, n);
  return 0;
}

int receive_with_local(int fd, std::span<std::byte> buffer, ReceivedPacket& packet) {
  LocalAddressControl control;
  msghdr message{};
  message.msg_control = &control;
  message.msg_controllen = sizeof control;
  if (const int error = receive_message(fd, buffer, message, packet); error != 0) return error;
  packet.local = local_address(message);
  return 0;
}

int receive_with_mark(int fd, std::span<std::byte> buffer, ReceivedPacket& packet) {
  union {
    cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(uint32_t))];
  } control;
  msghdr message{};
  message.msg_control = &control;
  message.msg_controllen = sizeof control;
  if (const int error = receive_message(fd, buffer, message, packet); error != 0) return error;
  packet.mark = 0;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SO_MARK) {
    std::memcpy(&packet.mark, CMSG_DATA(header), sizeof packet.mark);
  }
  return 0;
}

int send(int fd, const Endpoint& destination, Bytes bytes) {
  SocketName name;
  const socklen_t name_bytes = fill(name, destination);
  const ssize_t n =
      ::sendto(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL, &name.any, name_bytes);
  return n < 0 ? errno : 0;
}

int send_connected(int fd, Bytes bytes) {
  return ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
}

int send_from(int fd, const IpAddress& local, const Endpoint& destination, Bytes bytes) {
  SocketName name;
  LocalAddressControl control{};
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_name = &name;
  message.msg_namelen = fill(name, destination);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (local.is_ipv6()) {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, local.bytes().data(), sizeof info.ipi6_addr);
    put_local_address(message, control, IPPROTO_IPV6, IPV6_PKTINFO, info);
  } else {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, local.bytes().data(), sizeof info.ipi_spec_dst);
    put_local_address(message, control, IPPROTO_IP, IP_PKTINFO, info);
  }
  return ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
}

int enable_local_address(int fd, Family family) {
  const bool set = family == Family::ipv6 ? set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
                                          : set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
  return set ? 0 : errno;
}

int enable_mark(int fd) {
  return set_option(fd, SOL_SOCKET, SO_RCVMARK, 1) ? 0 : errno;
}

}  // namespace relay
