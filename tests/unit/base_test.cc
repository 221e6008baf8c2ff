#include <doctest/doctest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "relay/base/address_range.h"
#include "relay/base/endpoint.h"
#include "relay/base/log.h"
#include "relay/base/published.h"
#include "relay/base/spsc_ring.h"
#include "relay/base/unique_fd.h"

namespace relay {

TEST_CASE("an address is numeric text or nothing") {
  struct Case {
    std::string description;
    std::string text;
    std::string expected;  // empty: refused
  };
  const std::vector<Case> cases = {
      {"IPv4", "192.0.2.1", "192.0.2.1"},
      {"IPv6 is shown in its shortest form", "2001:0db8::0001", "2001:db8::1"},
      {"an IPv4-mapped address is the IPv4 address", "::ffff:192.0.2.9", "192.0.2.9"},
      {"a host name is refused", "localhost", ""},
      {"an octet over 255 is refused", "300.1.1.1", ""},
      {"nothing is refused", "", ""},
      {"trailing text is refused", "192.0.2.1 ", ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto address = IpAddress::parse(c.text);
    CHECK(address.has_value() == !c.expected.empty());
    if (address) CHECK(address->to_string() == c.expected);
  }
}

TEST_CASE("an endpoint survives the way through a sockaddr") {
  for (const char* text : {"192.0.2.1", "2001:db8::1"}) {
    const Endpoint endpoint{*IpAddress::parse(text), 5004};
    CHECK(to_endpoint(to_socket_address(endpoint)) == endpoint);
  }
}

TEST_CASE("a port offset never leaves 1..65535") {
  const Endpoint highest{*IpAddress::parse("192.0.2.1"), 65535};
  CHECK_FALSE(highest.with_port_offset(1));
  CHECK(highest.with_port_offset(-1)->port == 65534);
  CHECK_FALSE(Endpoint{highest.address, 1}.with_port_offset(-1));
}

TEST_CASE("a full ring refuses and keeps what it holds") {
  SpscRing<int> ring(2);
  CHECK(ring.push(1));
  CHECK(ring.push(2));
  CHECK_FALSE(ring.push(3));
  int value = 0;
  CHECK(ring.pop(value));
  CHECK(value == 1);
  CHECK(ring.push(4));
  CHECK(ring.pop(value));
  CHECK(ring.pop(value));
  CHECK(value == 4);
  CHECK_FALSE(ring.pop(value));
}

TEST_CASE("a published value is read back whole") {
  struct Value {
    uint64_t a, b, c;
  };
  Published<Value> published;
  published.store({1, 2, 3});
  published.store({4, 5, 6});
  CHECK(published.load().a == 4);
  CHECK(published.load().c == 6);
}

TEST_CASE("outside text cannot break a log line") {
  CHECK(quoted("a\nb\"c") == "\"a\\x0ab\\\"c\"");
  CHECK(quoted(std::string(200, 'x')).size() < 140);
}

TEST_CASE("an address range holds what has its prefix") {
  struct Case {
    std::string range, address;
    bool contains;
  };
  const std::vector<Case> cases = {
      {"192.0.2.0/24", "192.0.2.255", true},
      {"192.0.2.0/24", "192.0.3.0", false},
      {"192.0.2.77/24", "192.0.2.1", true},
      {"192.0.2.1", "192.0.2.1", true},
      {"192.0.2.1", "192.0.2.0", false},
      {"192.0.2.128/25", "192.0.2.127", false},
      {"192.0.2.128/25", "192.0.2.128", true},
      {"0.0.0.0/0", "203.0.113.9", true},
      {"0.0.0.0/0", "2001:db8::1", false},
      {"2001:db8::/33", "2001:db8:7fff::1", true},
      {"2001:db8::/33", "2001:db8:8000::1", false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.range);
    CAPTURE(c.address);
    const auto range = AddressRange::parse(c.range);
    REQUIRE(range);
    CHECK(range->contains(*IpAddress::parse(c.address)) == c.contains);
  }
  for (const char* text : {"", "/8", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/8x",
                           "host", "2001:db8::/129"}) {
    CAPTURE(text);
    CHECK_FALSE(AddressRange::parse(text));
  }
}

TEST_CASE("lines that somebody outside can cause are bounded, and what is left out is counted") {
  struct Quiet {  // standard error goes to a pipe meanwhile
    int saved = ::dup(2);
    int ends[2] = {-1, -1};
    Quiet() {
      REQUIRE(::pipe(ends) == 0);
      REQUIRE(::dup2(ends[1], 2) == 2);
    }
    std::string text() {
      REQUIRE(::dup2(saved, 2) == 2);
      std::string result(65536, 0);
      const UniqueFd in(ends[0]), out(ends[1]), before(saved);
      const ssize_t got = ::read(in.get(), result.data(), result.size());
      result.resize(got > 0 ? static_cast<size_t>(got) : 0);
      return result;
    }
  };
  log_start({LogLevel::warning, true, std::nullopt});
  LogLimit limit(5);
  Quiet quiet;
  for (int i = 0; i < 1000; ++i) limit.warning("refused number={}", i);
  log_flush();
  const std::string text = quiet.text();
  size_t lines = 0;
  for (size_t at = text.find("refused"); at != text.npos; at = text.find("refused", at + 1))
    ++lines;
  CHECK(lines >= 5);
  CHECK(lines <= 10);  // the loop may run into the next second
}

}  // namespace relay
