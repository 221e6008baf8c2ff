#include "relay/control/udp_listener.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "ctlproto/parse.h"
#include "relay/base/log.h"

namespace relay {

namespace {

// Other sockets get their turn after this many.
constexpr int kDatagramsPerWakeUp = 64;
// Largest UDP payloads (RFC 768, RFC 791, RFC 8200): 65535 less the headers the length counts.
constexpr size_t kPayloadMaxIpv4 = 65'507;
constexpr size_t kPayloadMaxIpv6 = 65'527;
// What rtpproxy answers when a reply would not fit.
constexpr std::string_view kReplyTooLong = "E25\n";

// Two relays (or one and itself) whose addresses a stranger writes into one datagram would answer
// each other's answers for ever. Every such chain comes to an error reply, and no client's command
// starts like one.
bool is_error_reply(std::string_view command) {
  while (!command.empty() && std::string_view(" \t\r\n").find(command.back()) != command.npos)
    command.remove_suffix(1);
  return command.size() > 1 && command[0] == 'E' &&
         command.find_first_not_of("0123456789", 1) == command.npos;
}

bool is_link_local(const IpAddress& address) {
  const auto& bytes = address.bytes();
  return address.is_ipv6() ? bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80
                           : bytes[0] == 169 && bytes[1] == 254;
}

uint32_t scope_of(const SocketAddress& address) {
  if (address.storage.ss_family != AF_INET6) return 0;
  return reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_scope_id;
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

}  // namespace

UdpListener::UdpListener(EventLoop& loop, Settings settings, CommandExecutor& executor,
                         ReplyCache& cache, ControlCounters& counters, const Clock& clock)
    : settings_(std::move(settings)),
      executor_(executor),
      cache_(cache),
      counters_(counters),
      clock_(clock),
      readable_(loop, settings_.socket.get(), FdReady::readable, [this] { on_readable(); }) {
  SocketAddress bound;
  if (::getsockname(settings_.socket.get(), bound.get(), &bound.length) == 0)
    bound_ = to_endpoint(bound);
  readable_.start();
}

void UdpListener::on_readable() {
  for (int received = 0; received < kDatagramsPerWakeUp; ++received) {
    if (!receive_one()) return;
  }
}

bool UdpListener::receive_one() {
  Datagram datagram;
  iovec part{buffer_.data(), ctlproto::kCommandBytesMax};
  alignas(cmsghdr) char control[256];
  msghdr message{};
  message.msg_name = datagram.peer.get();
  message.msg_namelen = datagram.peer.length;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t length = ::recvmsg(settings_.socket.get(), &message, 0);
  if (length < 0) {
    if (errno == EAGAIN) return false;
    if (errno == EINTR) return true;
    ++counters_.receive_errors;
    log_warning("control datagram not received socket={} reason={}", quoted(settings_.text),
                std::strerror(errno));
    return false;
  }
  ++counters_.datagrams_received;
  if ((message.msg_flags & MSG_TRUNC) != 0) ++counters_.datagrams_truncated;
  datagram.peer.length = message.msg_namelen;
  datagram.text = {buffer_.data(), static_cast<size_t>(length)};
  read_ancillary(message, datagram);
  answer(datagram);
  return true;
}

void UdpListener::read_ancillary(msghdr& message, Datagram& datagram) {
  datagram.local = bound_;
  unsigned interface = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
      const auto info = ancillary<in_pktinfo>(header);
      // For a broadcast request ipi_addr is the broadcast address, ipi_spec_dst one of ours.
      datagram.local.address = IpAddress::from_ipv4(info.ipi_spec_dst);
      interface = static_cast<unsigned>(info.ipi_ifindex);
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
      const auto info = ancillary<in6_pktinfo>(header);
      const IpAddress address = IpAddress::from_ipv6(info.ipi6_addr);
      if (!address.is_multicast()) datagram.local.address = address;
      interface = info.ipi6_ifindex;
    } else if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SO_RXQ_OVFL) {
      const auto lost = ancillary<uint32_t>(header);
      counters_.datagrams_lost += lost - lost_in_kernel_;
      lost_in_kernel_ = lost;
    }
  }
  if (is_link_local(datagram.local.address)) datagram.reply_interface = interface;
}

void UdpListener::answer(const Datagram& datagram) {
  const Instant now = clock_.now();
  const auto [cookie, command] = ctlproto::split_cookie(datagram.text);
  if (is_error_reply(command)) {
    ++counters_.datagrams_reflected;
    return;
  }
  const CommandOrigin origin{to_endpoint(datagram.peer), datagram.local};
  if (cookie.empty()) {
    send_reply(datagram, executor_.execute({}, origin));
    return;
  }
  const ReplyCacheKey key{settings_.index, *origin.peer, scope_of(datagram.peer), cookie, command};
  if (const auto stored = cache_.find(key, now)) {
    ++counters_.reply_cache_hits;
    executor_.count_duplicate();
    send_reply(datagram, *stored);
    return;
  }
  const std::string reply = executor_.execute(command, origin);
  std::string framed;
  framed.reserve(cookie.size() + 1 + reply.size());
  framed += cookie;
  framed += ' ';
  const size_t room = (bound_.address.is_ipv6() ? kPayloadMaxIpv6 : kPayloadMaxIpv4);
  if (framed.size() + reply.size() <= room) {
    framed += reply;
  } else {
    ++counters_.replies_too_long;
    framed += kReplyTooLong;
  }
  send_reply(datagram, framed);
  counters_.reply_cache_evictions += cache_.insert(key, framed, now);
}

// A reply the kernel does not take now is dropped: the client asks again and gets the stored one.
void UdpListener::send_reply(const Datagram& datagram, std::string_view reply) {
  iovec part{const_cast<char*>(reply.data()), reply.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in6_pktinfo))] = {};
  msghdr message{};
  SocketAddress peer = datagram.peer;
  message.msg_name = peer.get();
  message.msg_namelen = peer.length;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const SocketAddress local = to_socket_address(datagram.local);
  if (local.storage.ss_family == AF_INET6) {
    in6_pktinfo info{};
    info.ipi6_addr = reinterpret_cast<const sockaddr_in6*>(&local.storage)->sin6_addr;
    info.ipi6_ifindex = datagram.reply_interface;
    put_ancillary(message, IPPROTO_IPV6, IPV6_PKTINFO, info);
  } else {
    in_pktinfo info{};
    info.ipi_spec_dst = reinterpret_cast<const sockaddr_in*>(&local.storage)->sin_addr;
    info.ipi_ifindex = static_cast<int>(datagram.reply_interface);
    put_ancillary(message, IPPROTO_IP, IP_PKTINFO, info);
  }
  ssize_t sent = -1;
  do {
    sent = ::sendmsg(settings_.socket.get(), &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return;
  ++counters_.replies_dropped;
  log_debug("control reply dropped socket={} bytes={} reason={}", quoted(settings_.text),
            reply.size(), std::strerror(errno));
}

}  // namespace relay
