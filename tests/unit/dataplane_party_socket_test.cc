#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "tests/support/worker_call.h"

namespace relay {
namespace {

using namespace testing;

constexpr uint16_t kSettled = 50;

int option_of(int fd, int level, int name) {
  int value = -1;
  socklen_t bytes = sizeof value;
  return ::getsockopt(fd, level, name, &value, &bytes) == 0 ? value : -1;
}

Endpoint peer_of(int fd) {
  SocketAddress peer;
  return ::getpeername(fd, peer.get(), &peer.length) == 0 ? to_endpoint(peer) : Endpoint{};
}

// Sequence numbers from `first` on, one packet at a time.
void talk(Call& call, LegId from, uint16_t packets, uint16_t first = 1) {
  for (uint16_t i = 0; i < packets; ++i) {
    const Packet packet =
        rtp_packet({.sequence = static_cast<uint16_t>(first + i), .timestamp = i * 160U});
    const auto through = call.pass(from, kRtp, packet);
    REQUIRE(through);
    REQUIRE(through->bytes == packet);
    REQUIRE(through->source == call.relay(other(from), kRtp));
  }
}

int settle(Call& call, LegId leg) {
  talk(call, leg, kSettled);
  int fd = -1;
  CHECK(eventually([&] {
    fd = connected_socket_on(call.relay(leg, kRtp));
    return fd >= 0;
  }));
  return fd;
}

TEST_CASE("a party that stays in one place gets a socket of its own") {
  struct Case {
    std::string description;
    const char* callee;
    const char* caller;
  };
  const std::vector<Case> cases = {
      {"IPv4", "127.0.0.1", "127.0.0.1"},
      {"IPv6", "::1", "::1"},
      {"IPv6 to IPv4", "::1", "127.0.0.1"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    if (c.callee == std::string("::1") && !have_ipv6()) continue;
    auto pool = start_pool(1);
    Call call(address(c.callee), address(c.caller));
    pool->install(*call.group, call.spec);
    for (const LegId leg : kLegs) {
      talk(call, leg, kSettled - 1);
      CHECK(connected_socket_on(call.relay(leg, kRtp)) == -1);
    }
    for (const LegId leg : kLegs) {
      const int fd = settle(call, leg);
      CHECK(peer_of(fd) == call.party(leg, kRtp).local());
      const auto& open = call.legs[index(leg)].relay[0];
      CHECK(option_of(fd, SOL_SOCKET, SO_RCVBUF) == option_of(open.fd(), SOL_SOCKET, SO_RCVBUF));
    }
    for (const LegId leg : kLegs) talk(call, leg, 200, kSettled);
    for (uint16_t i = 0; i < 2 * kSettled; ++i) {
      REQUIRE(call.pass(LegId::caller, kRtcp, rtcp_packet()));
    }
    CHECK(connected_socket_on(call.relay(LegId::caller, kRtcp)) == -1);
    remove_and_settle(*pool, call);
    for (const LegId leg : kLegs) CHECK(connected_socket_on(call.relay(leg, kRtp)) == -1);
    check_balanced(pool->counters());
    CHECK(pool->counters().dropped() == 0);
    CHECK(pool->descriptor_errors() == 0);
  }
}

TEST_CASE("strangers are told apart as before, and a port is nobody else's") {
  auto pool = start_pool(1);
  Call call;
  pool->install(*call.group, call.spec);
  const int fd = settle(call, LegId::caller);
  const UdpSocket stranger(Endpoint{address("127.0.0.9"), 0});
  for (uint16_t i = 1; i <= 100; ++i) {
    REQUIRE(stranger.send(call.relay(LegId::caller, kRtp), rtp_packet({.sequence = i})));
  }
  CHECK(eventually([&] { return pool->counters().dropped() == 100; }));
  CHECK(peer_of(fd) == call.party(LegId::caller, kRtp).local());
  talk(call, LegId::caller, 10, kSettled);
  CHECK_FALSE(call.party(LegId::callee, kRtp).readable(0ms));

  const UniqueFd intruder(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  REQUIRE(::setsockopt(intruder.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
  const SocketAddress port = to_socket_address(call.relay(LegId::caller, kRtp));
  CHECK(::bind(intruder.get(), port.get(), port.length) != 0);
  remove_and_settle(*pool, call);
  check_balanced(pool->counters());
}

TEST_CASE("a party that moves is met at the open socket, and its own follows") {
  auto pool = start_pool(1);
  Call call;
  pool->install(*call.group, call.spec);
  const int fd = settle(call, LegId::caller);
  call.legs[index(LegId::caller)].party = pair_on(address("127.0.0.1"));
  call.describe(LegId::caller);  // as its re-INVITE says
  const PlaneTicket ticket = pool->update(*call.group, call.spec);
  REQUIRE(eventually([&] { return pool->settled(ticket); }));
  talk(call, LegId::caller, 10, kSettled);
  talk(call, LegId::callee, 10);
  talk(call, LegId::caller, kSettled, kSettled + 10);
  CHECK(eventually([&] { return peer_of(fd) == call.party(LegId::caller, kRtp).local(); }));
  CHECK(connected_socket_on(call.relay(LegId::caller, kRtp)) == fd);
  for (const LegId leg : kLegs) talk(call, leg, 10, 3 * kSettled);
  remove_and_settle(*pool, call);
  CHECK(pool->counters().dropped() == 0);
}

TEST_CASE("packets keep their order when a party gets its socket") {
  constexpr uint16_t kPackets = 200;  // a party's socket holds as many
  auto pool = start_pool(1);
  for (int turn = 0; turn < 50; ++turn) {
    Call call;
    pool->install(*call.group, call.spec);
    std::jthread sender([&] {
      for (uint16_t i = 1; i <= kPackets; ++i) {
        call.send(LegId::caller, kRtp, rtp_packet({.sequence = i, .payload_bytes = 20}));
        if (i % 8 == 0) std::this_thread::yield();
      }
    });
    for (uint16_t i = 1; i <= kPackets; ++i) {
      const auto through = call.party(LegId::callee, kRtp).receive();
      REQUIRE(through);
      REQUIRE(read_be16(through->bytes, 2) == i);
    }
    sender.join();
    CHECK(connected_socket_on(call.relay(LegId::caller, kRtp)) >= 0);
    remove_and_settle(*pool, call);
  }
  CHECK(pool->counters().dropped() == 0);
}

TEST_CASE("the type of service follows the open socket's") {
  auto pool = start_pool(1);
  Call call;
  const auto set_tos = [&](int tos) {
    const int open = call.legs[index(LegId::caller)].relay[0].fd();
    REQUIRE(::setsockopt(open, IPPROTO_IP, IP_TOS, &tos, sizeof tos) == 0);
  };
  set_tos(0xB8);
  pool->install(*call.group, call.spec);
  const int fd = settle(call, LegId::caller);
  CHECK(option_of(fd, IPPROTO_IP, IP_TOS) == 0xB8);
  set_tos(0x88);
  const PlaneTicket ticket = pool->update(*call.group, call.spec);
  REQUIRE(eventually([&] { return pool->settled(ticket); }));
  CHECK(option_of(fd, IPPROTO_IP, IP_TOS) == 0x88);
  remove_and_settle(*pool, call);
}

TEST_CASE("a settled party that has closed its port costs neither direction anything") {
  auto pool = start_pool(1);
  Call call;
  pool->install(*call.group, call.spec);
  settle(call, LegId::callee);
  const Endpoint callee = call.party(LegId::callee, kRtp).local();
  { const UdpSocket closed = std::move(call.party(LegId::callee, kRtp)); }
  // More than a socket may yield errors in a row before it is let go.
  for (unsigned i = 1; i <= 3000; ++i) {
    call.send(LegId::caller, kRtp, rtp_packet({.sequence = static_cast<uint16_t>(i)}));
    REQUIRE(eventually([&] { return pool->counters().forwarded == kSettled + i; }));
  }
  UdpSocket reopened(callee);
  REQUIRE(reopened.open());
  call.party(LegId::callee, kRtp) = std::move(reopened);
  for (const LegId leg : kLegs) talk(call, leg, 2 * kSettled, 3001);
  CHECK(connected_socket_on(call.relay(LegId::callee, kRtp)) >= 0);
  remove_and_settle(*pool, call);
  CHECK(pool->counters().dropped() == 0);
  CHECK(pool->descriptor_errors() == 0);
}

TEST_CASE("parties' sockets leave half of the descriptors to calls") {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  Call call;
  const auto next = static_cast<rlim_t>(UniqueFd(::dup(0)).get());
  const rlimit few{2 * next, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  auto pool = start_pool(1);  // asks for the limit
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  pool->install(*call.group, call.spec);
  talk(call, LegId::caller, 4 * kSettled);
  CHECK(connected_socket_on(call.relay(LegId::caller, kRtp)) == -1);
  remove_and_settle(*pool, call);
  CHECK(pool->counters().dropped() == 0);
  CHECK(pool->descriptor_errors() == 0);
}

TEST_CASE("parties' sockets give way when calls want descriptors, and lose nothing by it") {
  constexpr uint16_t kAfterwards = 100;
  auto pool = start_pool(1);
  CHECK_FALSE(pool->spare_descriptors());
  Call call;
  pool->install(*call.group, call.spec);
  for (const LegId leg : kLegs) settle(call, leg);
  for (uint16_t i = 0; i < kAfterwards; ++i) {
    call.send(LegId::caller, kRtp, rtp_packet({.sequence = i}));
    if (i == kAfterwards / 2) CHECK(pool->spare_descriptors());
  }
  for (uint16_t i = 0; i < kAfterwards; ++i) {
    const auto through = call.party(LegId::callee, kRtp).receive();
    REQUIRE(through);
    CHECK(read_be16(through->bytes, 2) == i);
  }
  CHECK(eventually([&] { return !pool->spare_descriptors(); }));
  for (const LegId leg : kLegs) {
    CHECK(connected_socket_on(call.relay(leg, kRtp)) == -1);
    talk(call, leg, 2 * kSettled, kAfterwards);
    CHECK(connected_socket_on(call.relay(leg, kRtp)) == -1);  // for a while calls have them all
  }
  remove_and_settle(*pool, call);
  CHECK(pool->counters().dropped() == 0);
}

TEST_CASE("on a wildcard address everything stays with the open socket") {
  auto pool = start_pool(1);
  Call call;
  call.legs[index(LegId::callee)].relay = pair_on(address("0.0.0.0"));
  call.describe(LegId::callee);
  pool->install(*call.group, call.spec);
  Endpoint reached = call.relay(LegId::callee, kRtp);
  reached.address = address("127.0.0.1");
  for (uint16_t i = 1; i <= 2 * kSettled; ++i) {
    REQUIRE(call.party(LegId::callee, kRtp).send(reached, rtp_packet({.sequence = i})));
    REQUIRE(call.party(LegId::caller, kRtp).receive());
  }
  CHECK(connected_socket_on(reached) == -1);
  CHECK(connected_socket_on(call.relay(LegId::callee, kRtp)) == -1);
  remove_and_settle(*pool, call);
}

TEST_CASE("the CPU that most packets come in on") {
  struct Case {
    std::string description;
    std::vector<int> cpus;  // in turn
    int most;
  };
  const std::vector<Case> cases = {
      {"one", {3}, 3},
      {"the most of three", {1, 2, 1, 1}, 1},
      {"half is not most", {0, 1}, kNoCpu},
      {"many", {0, 1, 2, 3}, kNoCpu},
      {"not known", {kNoCpu}, kNoCpu},
      {"beyond what a set holds", {CPU_SETSIZE}, kNoCpu},
      {"the last of a set", {CPU_SETSIZE - 1}, CPU_SETSIZE - 1},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    IncomingCpus incoming;
    for (int turn = 0; turn < 2; ++turn) {
      for (uint32_t i = 1; i < IncomingCpus::kSamples; ++i) {
        CHECK_FALSE(incoming.add(c.cpus[i % c.cpus.size()]));
      }
      CHECK(incoming.add(c.cpus[IncomingCpus::kSamples % c.cpus.size()]) == c.most);
    }
  }
}

}  // namespace
}  // namespace relay
