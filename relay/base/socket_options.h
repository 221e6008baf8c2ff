// Options of sockets that are one integer.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <optional>

#include "relay/base/endpoint.h"

namespace relay {

// False: errno says why.
inline bool set_option(int socket, int level, int name, int value) {
  return ::setsockopt(socket, level, name, &value, sizeof value) == 0;
}

// Nothing: errno says why.
inline std::optional<int> option_of(int socket, int level, int name) {
  int value = 0;
  socklen_t bytes = sizeof value;
  if (::getsockopt(socket, level, name, &value, &bytes) != 0) return std::nullopt;
  return value;
}

// IP_TOS or IPV6_TCLASS.
inline bool set_type_of_service(int socket, Family family, int tos) {
  return family == Family::ipv6 ? set_option(socket, IPPROTO_IPV6, IPV6_TCLASS, tos)
                                : set_option(socket, IPPROTO_IP, IP_TOS, tos);
}

inline std::optional<int> type_of_service(int socket, Family family) {
  return family == Family::ipv6 ? option_of(socket, IPPROTO_IPV6, IPV6_TCLASS)
                                : option_of(socket, IPPROTO_IP, IP_TOS);
}

// What an attempt to connect has ended in, or what the network has answered; 0: nothing. It is
// taken off the socket.
inline int take_error(int socket) {
  return option_of(socket, SOL_SOCKET, SO_ERROR).value_or(0);
}

}  // namespace relay
