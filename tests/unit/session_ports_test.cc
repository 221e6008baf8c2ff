#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "relay/session/port_pool.h"
#include "tests/support/fake_sockets.h"

namespace relay {
namespace {

const IpAddress kAny4 = IpAddress::any(Family::ipv4);
const IpAddress kAny6 = IpAddress::any(Family::ipv6);
const IpAddress kLocal4 = *IpAddress::parse("127.0.0.1");
const IpAddress kOther4 = *IpAddress::parse("127.0.0.2");

PortSettings range(uint16_t min, uint16_t max, bool sequential) {
  return {min, max, sequential, 184, 7};
}

std::vector<PortPair> open_all(PortPool& pool, const IpAddress& local) {
  std::vector<PortPair> pairs;
  for (auto pair = pool.open(local); pair; pair = pool.open(local)) {
    pairs.push_back(std::move(*pair));
  }
  return pairs;
}

}  // namespace

TEST_CASE("the range is cut to whole pairs, even port first") {
  struct Case {
    std::string description;
    uint16_t min, max;
    std::vector<uint16_t> ports;  // empty: no pair fits
  };
  const std::vector<Case> cases = {
      {"even to odd", 30000, 30003, {30000, 30002}},
      {"an odd minimum is rounded up", 30001, 30005, {30002, 30004}},
      {"an even maximum has no odd neighbour", 30000, 30004, {30000, 30002}},
      {"one pair is enough", 30000, 30001, {30000}},
      {"the highest pair there is", 65534, 65535, {65534}},
      {"a single even port is no pair", 30000, 30000, {}},
      {"a single odd port is no pair", 30001, 30001, {}},
      {"minimum above maximum", 30010, 30000, {}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    for (const bool sequential : {true, false}) {
      const PortSettings settings = range(c.min, c.max, sequential);
      CHECK(PortPool::has_pairs(settings) == !c.ports.empty());
      if (c.ports.empty()) continue;
      FakeSockets sockets;
      PortPool pool(settings, sockets);
      std::set<uint16_t> seen;
      const std::vector<PortPair> pairs = open_all(pool, kAny4);
      for (const PortPair& pair : pairs) seen.insert(pair.local().port);
      CHECK(seen == std::set<uint16_t>(c.ports.begin(), c.ports.end()));
      CHECK(pool.taken() == c.ports.size());
    }
  }
}

TEST_CASE("a range of one pair works again and again") {
  for (const bool sequential : {true, false}) {
    FakeSockets sockets;
    PortPool pool(range(30000, 30001, sequential), sockets);
    for (int i = 0; i < 5; ++i) {
      const auto pair = pool.open(kAny4);
      REQUIRE(pair);
      CHECK(pair->local().port == 30000);
      CHECK_FALSE(pool.open(kAny4));
    }
    CHECK(pool.taken() == 0);
  }
}

TEST_CASE("sequential ports go on after the last one used and wrap") {
  FakeSockets sockets;
  PortPool pool(range(30000, 30007, true), sockets);
  std::vector<uint16_t> order;
  for (int i = 0; i < 6; ++i) order.push_back(pool.open(kAny4)->local().port);
  CHECK(order == std::vector<uint16_t>{30000, 30002, 30004, 30006, 30000, 30002});
}

TEST_CASE("a random pool does not hand out first what was given back last") {
  FakeSockets sockets;
  PortPool pool(range(30000, 30999, false), sockets);
  for (int i = 0; i < 200; ++i) {
    uint16_t released = 0;
    {
      const auto pair = pool.open(kAny4);
      released = pair->local().port;
    }
    // Half of the free ports come before it.
    std::vector<PortPair> pairs;
    for (int n = 0; n < 240; ++n) {
      pairs.push_back(*pool.open(kAny4));
      CHECK(pairs.back().local().port != released);
    }
  }
}

TEST_CASE("two random pools hand out different orders unless seeded alike") {
  FakeSockets sockets;
  const auto first_ports = [&](uint64_t seed) {
    PortSettings settings = range(30000, 60000, false);
    settings.seed = seed;
    PortPool pool(settings, sockets);
    std::vector<uint16_t> ports;
    std::vector<PortPair> pairs;
    for (int i = 0; i < 10; ++i) {
      pairs.push_back(*pool.open(kAny4));
      ports.push_back(pairs.back().local().port);
    }
    return ports;
  };
  CHECK(first_ports(1) == first_ports(1));
  CHECK(first_ports(1) != first_ports(2));
  CHECK(first_ports(0) != first_ports(0));  // 0: from the kernel
}

TEST_CASE("every port comes back, whatever the order of opening and closing") {
  for (const bool sequential : {true, false}) {
    FakeSockets sockets;
    PortPool pool(range(30000, 30399, sequential), sockets);
    std::mt19937 random(42);
    std::vector<PortPair> open;
    for (int step = 0; step < 20000; ++step) {
      if (open.empty() || random() % 2 == 0) {
        auto pair = pool.open(kAny4);
        CHECK(pair.has_value() == (open.size() < 200));
        if (pair) open.push_back(std::move(*pair));
      } else {
        std::swap(open[random() % open.size()], open.back());
        open.pop_back();
      }
      REQUIRE(pool.taken() == open.size());
      std::set<uint16_t> distinct;
      if (step % 1000 == 0) {
        for (const PortPair& pair : open) distinct.insert(pair.local().port);
        CHECK(distinct.size() == open.size());
      }
    }
    open.clear();
    CHECK(open_all(pool, kAny4).size() == 200);
    CHECK(pool.taken() == 0);
  }
}

TEST_CASE("a nearly full pool asks the kernel once a pair, not once a used port") {
  for (const bool sequential : {true, false}) {
    FakeSockets sockets;
    PortPool pool(range(10000, 65535, sequential), sockets);
    std::vector<PortPair> pairs = open_all(pool, kAny4);
    CHECK(sockets.open_calls == pairs.size());
    pairs.erase(pairs.begin() + 12345);
    sockets.open_calls = 0;
    CHECK(pool.open(kAny4));
    CHECK(sockets.open_calls == 1);
  }
}

TEST_CASE("ports somebody else holds are passed over, other errors end the search") {
  for (const bool sequential : {true, false}) {
    FakeSockets sockets;
    sockets.busy_ports = {30000, 30002, 30006};
    PortPool pool(range(30000, 30007, sequential), sockets);
    {
      const auto pair = pool.open(kAny4);
      REQUIRE(pair);
      CHECK(pair->local().port == 30004);
      const auto none = pool.open(kAny4);
      REQUIRE_FALSE(none);
      CHECK(none.error().exhausted);
      CHECK(none.error().message ==
            "no free port pair on 0.0.0.0: 1 of 4 pairs are this relay's own");
    }
    sockets.addresses = {"192.0.2.7"};
    sockets.open_calls = 0;
    const auto foreign = pool.open(*IpAddress::parse("192.0.2.8"));
    REQUIRE_FALSE(foreign);
    CHECK_FALSE(foreign.error().exhausted);
    CHECK(foreign.error().message == "not our address");
    CHECK(sockets.open_calls == 1);
    sockets.busy_ports.clear();
    CHECK(open_all(pool, kAny4).size() == 4);
  }
}

TEST_CASE("each address and each family has the whole range") {
  FakeSockets sockets;
  PortPool pool(range(30000, 30003, true), sockets);
  std::vector<std::vector<PortPair>> all;
  for (const IpAddress& local : {kAny6, kLocal4, kOther4}) all.push_back(open_all(pool, local));
  for (const auto& pairs : all) CHECK(pairs.size() == 2);
  CHECK(pool.taken() == 6);
}

TEST_CASE("sequential numbers go on across addresses of a family, not across families") {
  FakeSockets sockets;
  PortPool pool(range(30000, 30999, true), sockets);
  const auto first = pool.open(kLocal4);
  const auto second = pool.open(kOther4);
  const auto ipv6 = pool.open(kAny6);
  CHECK(first->local().port == 30000);
  CHECK(second->local().port == 30002);
  CHECK(ipv6->local().port == 30000);
}

TEST_CASE("the pool knows its own open ports") {
  FakeSockets sockets;
  sockets.addresses = {"192.0.2.7"};
  PortPool pool(range(30000, 30003, true), sockets);
  struct Case {
    std::string description;
    std::string address;
    uint16_t port;
    bool expected;
  };
  const std::vector<Case> cases = {
      {"RTP port on an address of the host", "192.0.2.7", 30000, true},
      {"RTCP port", "192.0.2.7", 30001, true},
      {"loopback reaches a wildcard bind", "127.0.0.1", 30000, true},
      {"a pair that is not open", "192.0.2.7", 30002, false},
      {"another host", "192.0.2.8", 30000, false},
      {"below the range", "192.0.2.7", 29999, false},
      {"above the range", "192.0.2.7", 30004, false},
      {"the other family", "::1", 30000, false},
  };
  {
    const auto pair = pool.open(kAny4);
    for (const Case& c : cases) {
      CAPTURE(c.description);
      CHECK(pool.is_own({*IpAddress::parse(c.address), c.port}) == c.expected);
    }
  }
  CHECK_FALSE(pool.is_own({kLocal4, 30000}));
}

TEST_CASE("addresses that commands try out do not pile up") {
  FakeSockets sockets;
  sockets.addresses = {"192.0.2.7"};
  PortPool pool(range(30000, 30003, true), sockets);
  const auto kept = pool.open(kAny4);
  for (int i = 0; i < 255; ++i) {
    CHECK_FALSE(pool.open(*IpAddress::parse("198.51.100." + std::to_string(i))));
  }
  CHECK(pool.is_own({kLocal4, 30000}));
  CHECK(pool.taken() == 1);
}

namespace {

int option(int socket, int level, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  CHECK(::getsockopt(socket, level, name, &value, &length) == 0);
  return value;
}

Endpoint local_of(int socket) {
  SocketAddress address;
  CHECK(::getsockname(socket, address.get(), &address.length) == 0);
  return to_endpoint(address);
}

}  // namespace

TEST_CASE("real media sockets are bound as a pair, do not block and carry the TOS") {
  KernelSocketFactory factory;
  for (const char* text : {"127.0.0.1", "::1"}) {
    CAPTURE(text);
    const IpAddress local = *IpAddress::parse(text);
    PortPool pool(range(20000, 40000, false), factory);
    const auto pair = pool.open(local);
    if (!pair && local.is_ipv6()) continue;  // a host without IPv6
    REQUIRE(pair);
    const int rtp = pair->rtp_socket();
    CHECK(local_of(rtp) == pair->local());
    CHECK(local_of(pair->rtcp_socket()) == *pair->local().with_port_offset(1));
    char byte = 0;
    CHECK(::recv(rtp, &byte, 1, 0) == -1);
    CHECK((errno == EAGAIN || errno == EWOULDBLOCK));
    const bool ipv6 = local.is_ipv6();
    const int level = ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
    const int name = ipv6 ? IPV6_TCLASS : IP_TOS;
    CHECK(option(rtp, level, name) == 184);
    CHECK(factory.set_tos(rtp, local.family(), 96));
    CHECK(option(rtp, level, name) == 96);
    CHECK(option(rtp, SOL_SOCKET, SO_RCVBUF) >= 128 * 1024);
    // The same port again is busy, not an error of the address.
    const auto again = factory.open_pair(pair->local(), -1);
    REQUIRE_FALSE(again);
    CHECK(again.error().kind == OpenFailure::Kind::port_busy);
  }
}

TEST_CASE("an address that is not this host's fails with the reason") {
  KernelSocketFactory factory;
  const auto pair = factory.open_pair({*IpAddress::parse("192.0.2.1"), 20000}, 184);
  REQUIRE_FALSE(pair);
  CHECK(pair.error().kind == OpenFailure::Kind::other);
  CHECK(pair.error().message.find("bind to 192.0.2.1:20000: ") == 0);
  CHECK(factory.is_local(kLocal4));
  CHECK_FALSE(factory.is_local(*IpAddress::parse("192.0.2.1")));
  CHECK(factory.address_towards(kLocal4) == kLocal4);
}

}  // namespace relay
