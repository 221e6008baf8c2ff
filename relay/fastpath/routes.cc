#include "relay/fastpath/routes.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

namespace relay {
namespace {

struct RouteQuery {
  nlmsghdr header{};
  rtmsg route{};
  std::array<std::byte, 64> attributes{};
};

void append_address(RouteQuery& query, uint16_t type, const IpAddress& address) {
  const size_t bytes = address.is_ipv6() ? 16 : 4;
  rtattr attribute{};
  attribute.rta_type = type;
  attribute.rta_len = static_cast<unsigned short>(RTA_LENGTH(bytes));
  std::byte* at = reinterpret_cast<std::byte*>(&query) + NLMSG_ALIGN(query.header.nlmsg_len);
  std::memcpy(at, &attribute, sizeof attribute);
  std::memcpy(at + RTA_LENGTH(0), address.bytes().data(), bytes);
  query.header.nlmsg_len =
      static_cast<uint32_t>(NLMSG_ALIGN(query.header.nlmsg_len) + RTA_LENGTH(bytes));
}

Result<UniqueFd> open_netlink(uint32_t groups) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!fd) return fail_errno("cannot open an rtnetlink socket");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno("cannot bind an rtnetlink socket");
  }
  return fd;
}

IpAddress to_address(const std::byte* bytes, size_t size) {
  if (size == sizeof(in_addr)) {
    in_addr address{};
    std::memcpy(&address, bytes, sizeof address);
    return IpAddress::from_ipv4(address);
  }
  if (size != sizeof(in6_addr)) return {};
  in6_addr address{};
  std::memcpy(&address, bytes, sizeof address);
  return IpAddress::from_ipv6(address);
}

void read_attribute(uint16_t type, const std::byte* bytes, size_t size, Way& way) {
  if (type == RTA_OIF && size == sizeof way.ifindex) std::memcpy(&way.ifindex, bytes, size);
  if (type == RTA_GATEWAY) way.next_hop = to_address(bytes, size);
  // A gateway of the other family, behind the two bytes of that family.
  if (type == RTA_VIA && size > 2) way.next_hop = to_address(bytes + 2, size - 2);
}

// The kernel answers a query before sendto() returns, so nothing is waited for.
Result<Way> read_answer(const std::byte* bytes, size_t size, uint32_t sequence,
                        const IpAddress& destination) {
  nlmsghdr header{};
  if (size < sizeof header) return fail("the kernel's answer about a route is too short");
  std::memcpy(&header, bytes, sizeof header);
  if (header.nlmsg_len > size || header.nlmsg_seq != sequence) {
    return fail("the kernel's answer about a route belongs to another question");
  }
  if (header.nlmsg_type == NLMSG_ERROR) {
    nlmsgerr error{};
    std::memcpy(&error, bytes + NLMSG_HDRLEN, sizeof error);
    return fail_errno("no route", -error.error);
  }
  rtmsg route{};
  std::memcpy(&route, bytes + NLMSG_HDRLEN, sizeof route);
  if (route.rtm_type == RTN_LOCAL) return Way{kLoopbackIndex, {}};
  if (route.rtm_type != RTN_UNICAST) {
    return fail("the route is of type " + std::to_string(route.rtm_type) + ", not to one host");
  }
  Way way{0, destination};
  for (size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof route); at + sizeof(rtattr) <= size;) {
    rtattr attribute{};
    std::memcpy(&attribute, bytes + at, sizeof attribute);
    if (attribute.rta_len < sizeof attribute || at + attribute.rta_len > size) break;
    read_attribute(attribute.rta_type, bytes + at + RTA_LENGTH(0),
                   attribute.rta_len - RTA_LENGTH(0), way);
    at += RTA_ALIGN(attribute.rta_len);
  }
  if (way.ifindex == 0) return fail("the route names no interface");
  return way;
}

}  // namespace

Routes::Routes(UniqueFd queries, UniqueFd changes)
    : queries_(std::move(queries)), changes_(std::move(changes)) {}
Routes::Routes(Routes&&) noexcept = default;
Routes::~Routes() = default;

Result<Routes> Routes::open() {
  auto queries = open_netlink(0);
  if (!queries) return tl::unexpected<Error>(queries.error());
  auto changes = open_netlink(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE |
                              RTMGRP_IPV4_RULE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE);
  if (!changes) return tl::unexpected<Error>(changes.error());
  return Routes(std::move(*queries), std::move(*changes));
}

Result<Way> Routes::find_way(const IpAddress& destination, const IpAddress& source) {
  RouteQuery query;
  const auto bits = static_cast<uint8_t>(destination.is_ipv6() ? 128 : 32);
  query.header.nlmsg_len = NLMSG_LENGTH(sizeof query.route);
  query.header.nlmsg_type = RTM_GETROUTE;
  query.header.nlmsg_flags = NLM_F_REQUEST;
  query.header.nlmsg_seq = ++sequence_;
  query.route.rtm_family = destination.is_ipv6() ? AF_INET6 : AF_INET;
  query.route.rtm_dst_len = query.route.rtm_src_len = bits;
  append_address(query, RTA_DST, destination);
  append_address(query, RTA_SRC, source);
  const std::string what = "the way to " + destination.to_string() + " from " + source.to_string();
  if (::send(queries_.get(), &query, query.header.nlmsg_len, 0) < 0) return fail_errno(what);
  std::array<std::byte, 4096> answer;
  const ssize_t bytes = ::recv(queries_.get(), answer.data(), answer.size(), 0);
  if (bytes < 0) return fail_errno(what);
  return read_answer(answer.data(), static_cast<size_t>(bytes), sequence_, destination)
      .map_error([&](const Error& error) { return with_context(what, error); });
}

bool Routes::drain_changes() {
  bool any = false;
  std::array<std::byte, 8192> news;
  for (;;) {
    const ssize_t bytes = ::recv(changes_.get(), news.data(), news.size(), 0);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0 && errno != ENOBUFS) return any;
    any = true;
  }
}

}  // namespace relay
