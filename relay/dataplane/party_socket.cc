#include "relay/dataplane/party_socket.h"

#include <sys/socket.h>

#include "relay/base/socket_options.h"

namespace relay {
namespace {

// For the moment of a bind(2) only: as long as both sockets have it, whoever else asks for it gets
// the port, too.
class SharedPort {
 public:
  SharedPort(int one, int other) : sockets_{one, other} { share(1); }
  ~SharedPort() { share(0); }
  SharedPort(const SharedPort&) = delete;
  SharedPort& operator=(const SharedPort&) = delete;

 private:
  void share(int on) {
    for (const int fd : sockets_) set_option(fd, SOL_SOCKET, SO_REUSEADDR, on);
  }

  const int sockets_[2];
};

}  // namespace

UniqueFd make_party_socket(int bound, Family family) {
  const bool ipv6 = family == Family::ipv6;
  UniqueFd fd(::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return {};
  if (ipv6 && !set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1)) return {};
  // The kernel reports twice of what it was asked for (socket(7)).
  if (const auto twice = option_of(bound, SOL_SOCKET, SO_RCVBUF)) {
    set_option(fd.get(), SOL_SOCKET, SO_RCVBUF, *twice / 2);
  }
  copy_type_of_service(bound, fd.get(), family);
  return fd;
}

bool bind_beside(int bound, int socket) {
  SocketAddress local;
  if (::getsockname(bound, local.get(), &local.length) != 0) return false;
  const SharedPort shared(bound, socket);
  return ::bind(socket, local.get(), local.length) == 0;
}

bool connect_to(int socket, const Endpoint& party) {
  const SocketAddress to = to_socket_address(party);
  return ::connect(socket, to.get(), to.length) == 0;
}

void turn_away(int socket) {
  SocketAddress local;
  if (::getsockname(socket, local.get(), &local.length) != 0) return;
  (void)::connect(socket, local.get(), local.length);
}

void copy_type_of_service(int from, int to, Family family) {
  if (const auto tos = type_of_service(from, family)) set_type_of_service(to, family, *tos);
}

}  // namespace relay
