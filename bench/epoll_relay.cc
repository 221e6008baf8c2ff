// The least a relay in user space can cost: a connected socket a phone, one epoll loop, receive and
// send, nothing looked at. The floor that relays are compared with, not a relay: it takes nothing
// but what it was told, and keeps nothing. Reads lines, and runs until it is ended:
//   call LOCAL/PORT PHONE/PORT LOCAL/PORT PHONE/PORT
//   go                                                 → "ready"
#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "bench/program.h"
#include "relay/base/endpoint.h"
#include "relay/base/unique_fd.h"

namespace {

using namespace relay;

// As many receives, then their sends: the best of what was tried for the slow path.
constexpr size_t kBurst = 16;
constexpr int kEvents = 512;

struct Received {
  int out = -1;
  size_t bytes = 0;
  std::array<char, 2048> packet;
};

UniqueFd open_socket(const Endpoint& local, const Endpoint& phone) {
  const SocketAddress from = to_socket_address(local), to = to_socket_address(phone);
  UniqueFd fd(::socket(from.get()->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd || ::bind(fd.get(), from.get(), from.length) != 0 ||
      ::connect(fd.get(), to.get(), to.length) != 0) {
    stop(local.to_string() + " to " + phone.to_string() + ": " + std::strerror(errno));
  }
  return fd;
}

void watch(int epoll, int in, int out) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = static_cast<uint64_t>(in) << 32 | static_cast<uint32_t>(out);
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, in, &event) != 0) stop(std::strerror(errno));
}

[[noreturn]] void relay_all(int epoll) {
  std::vector<epoll_event> events(kEvents);
  std::vector<Received> burst(kBurst);
  for (;;) {
    const int ready = ::epoll_wait(epoll, events.data(), kEvents, -1);
    size_t held = 0;
    for (int i = 0; i < ready; ++i) {
      const uint64_t pair = events[static_cast<size_t>(i)].data.u64;
      Received& slot = burst[held];
      slot.out = static_cast<int>(pair & 0xFFFFFFFF);
      const ssize_t got =
          ::recv(static_cast<int>(pair >> 32), slot.packet.data(), slot.packet.size(), 0);
      if (got >= 0) {
        slot.bytes = static_cast<size_t>(got);
        ++held;
      }
      if (held < kBurst && i + 1 < ready) continue;
      for (size_t n = 0; n < held; ++n) {
        ::send(burst[n].out, burst[n].packet.data(), burst[n].bytes, MSG_DONTWAIT);
      }
      held = 0;
    }
  }
}

}  // namespace

int main() {
  const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  std::vector<UniqueFd> sockets;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command, local_a, phone_a, local_b, phone_b;
    if (!(words >> command)) continue;
    if (command == "go") {
      fmt::print("ready\n");
      std::fflush(stdout);
      relay_all(epoll.get());
    }
    if (command != "call" || !(words >> local_a >> phone_a >> local_b >> phone_b)) {
      stop("\"" + line + "\": expected \"call …\" or \"go\"");
    }
    sockets.push_back(open_socket(to_endpoint(local_a), to_endpoint(phone_a)));
    sockets.push_back(open_socket(to_endpoint(local_b), to_endpoint(phone_b)));
    const int a = sockets[sockets.size() - 2].get(), b = sockets.back().get();
    watch(epoll.get(), a, b);
    watch(epoll.get(), b, a);
  }
  return 0;
}
