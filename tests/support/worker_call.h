// Calls over real loopback sockets for tests of the workers: two parties, the relay's sockets
// between them, and the group that joins those.
#pragma once

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "relay/dataplane/worker_pool.h"
#include "tests/support/packet_builder.h"
#include "tests/support/udp_socket.h"

namespace relay::testing {

using namespace std::chrono_literals;

constexpr Component kRtp = Component::rtp;
constexpr Component kRtcp = Component::rtcp;

// Bounds a failing test only.
template <typename Condition>
bool eventually(Condition condition) {
  const auto give_up = std::chrono::steady_clock::now() + 10s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    std::this_thread::yield();
  }
  return true;
}

// Deals calls out evenly, so that two of them meet two threads.
inline std::unique_ptr<WorkerPool> start_pool(unsigned threads) {
  auto pool = WorkerPool::start(threads, kFullWorker);
  REQUIRE(pool);
  return std::move(*pool);
}

inline IpAddress address(const char* text) {
  return *IpAddress::parse(text);
}

inline bool have_ipv6() {
  return UdpSocket(Endpoint{address("::1"), 0}).open();
}

inline UdpPair pair_on(const IpAddress& local) {
  auto pair = open_pair(local);
  REQUIRE(pair);
  return std::move(*pair);
}

// Two parties, the relay's sockets between them, and the group that joins those.
struct Call {
  struct Leg {
    UdpPair party, relay;
  };
  std::array<Leg, 2> legs;  // by LegId
  FlowGroupSpec spec;
  std::unique_ptr<FlowGroup> group = std::make_unique<FlowGroup>();

  explicit Call(const IpAddress& callee = address("127.0.0.1"),
                const IpAddress& caller = address("127.0.0.1"))
      : legs{Leg{pair_on(callee), pair_on(callee)}, Leg{pair_on(caller), pair_on(caller)}} {
    spec.complete = true;
    for (const LegId leg : kLegs) describe(leg);
  }

  void describe(LegId leg) {
    LegSpec& leg_spec = spec.legs[index(leg)];
    const Leg& from = legs[index(leg)];
    leg_spec.sockets = {from.relay[0].fd(), from.relay[1].fd()};
    leg_spec.local = from.relay[0].local();
    leg_spec.signalled = from.party[0].local();
    ++leg_spec.signalled_count;
    leg_spec.with_codecs = true;
  }

  UdpSocket& party(LegId leg, Component component) {
    return legs[index(leg)].party[index(component)];
  }
  Endpoint relay(LegId leg, Component component) {
    return legs[index(leg)].relay[index(component)].local();
  }
  void send(LegId from, Component component, const Packet& packet) {
    REQUIRE(party(from, component).send(relay(from, component), packet));
  }
  // Sent by one party, what the other one gets.
  std::optional<Datagram> pass(LegId from, Component component, const Packet& packet) {
    send(from, component, packet);
    return party(other(from), component).receive();
  }
  uint64_t received(LegId leg, Component component) const {
    return group->stats_of(leg, component).received.get();
  }
};

// This process's socket that is bound to `local` and connected; -1: there is none.
inline int connected_socket_on(const Endpoint& local) {
  for (int fd = 3; fd < 1024; ++fd) {
    SocketAddress name, peer;
    if (::getsockname(fd, name.get(), &name.length) != 0 || to_endpoint(name) != local) continue;
    if (::getpeername(fd, peer.get(), &peer.length) == 0) return fd;
  }
  return -1;
}

inline void check_balanced(const PlaneCounters& counters) {
  CHECK(counters.received ==
        counters.forwarded + counters.punted + counters.consumed + counters.dropped());
}

inline void remove_and_settle(WorkerPool& pool, Call& call) {
  const PlaneTicket ticket = pool.remove(*call.group);
  CHECK(eventually([&] { return pool.settled(ticket); }));
}

}  // namespace relay::testing
