#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "relay/control/http_server.h"
#include "relay/control/metrics.h"
#include "tests/support/relay_fixture.h"

namespace relay {
namespace {

// One request over a connection of its own, while the loop runs here.
std::string fetch(EventLoop& loop, uint16_t port, const std::string& head) {
  std::string answer;
  std::thread client([&] {
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      const std::string request = head + "Host: relay\r\nConnection: close\r\n\r\n";
      static_cast<void>(::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL));
      std::array<char, 4096> buffer;
      for (ssize_t n = 1; n > 0;) {
        n = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
        if (n > 0) answer.append(buffer.data(), static_cast<size_t>(n));
      }
    }
    loop.post([&loop] { loop.stop(); });
  });
  loop.run();
  client.join();
  return answer;
}

TEST_CASE("metrics, health and documents over HTTP") {
  RelayFixture relay;
  CHECK(relay.ask("U c/1 192.0.2.1 4000 ft") == "30000");
  ControlCounters control;
  control.connections_accepted = 7;

  struct Case {
    std::string description;
    std::string request;
    std::vector<std::string> expected;
  };
  const std::vector<Case> cases = {
      {"metrics",
       "GET /metrics HTTP/1.1\r\n",
       {"200 OK", "rtpp_sessions 1\n", "# TYPE rtpp_packets_dropped_total counter\n",
        "rtpp_packets_dropped_total{reason=\"source_refused\"} 0\n",
        "rtpp_control_connections_accepted_total 7\n"}},
      {"healthy", "GET /healthz HTTP/1.1\r\n", {"200 OK", "\"ok\""}},
      {"stats", "GET /stats HTTP/1.1\r\n", {"200 OK", "application/json", "\"active\":1"}},
      {"sessions", "GET /sessions HTTP/1.1\r\n", {"200 OK", "\"c/1\""}},
      {"a page", "GET /sessions?cursor=1 HTTP/1.1\r\n", {"200 OK", "\"sessions\":[]"}},
      {"no such page", "GET /sessions?cursor=x HTTP/1.1\r\n", {"404"}},
      {"a call, its id percent-encoded",
       "GET /sessions/c%2F1 HTTP/1.1\r\n",
       {"200 OK", "\"from_tag\":\"ft\""}},
      {"no such call", "GET /sessions/c2 HTTP/1.1\r\n", {"404", "no such call"}},
      {"an id with a line end is no second command", "GET /sessions/c%0AX HTTP/1.1\r\n", {"400"}},
      {"an id with a blank is no second argument", "GET /sessions/c%20d HTTP/1.1\r\n", {"400"}},
      {"elsewhere", "GET / HTTP/1.1\r\n", {"404", "/metrics"}},
      {"nothing to post to", "POST /stats HTTP/1.1\r\nContent-Length: 0\r\n", {"405"}},
      {"what is posted must say who", "POST /voices HTTP/1.1\r\nContent-Length: 0\r\n", {"400"}},
      {"another method", "DELETE /sessions/c1 HTTP/1.1\r\n", {"501"}},
  };
  auto loop = EventLoop::create();
  REQUIRE(loop);
  auto server = HttpServer::create(
      **loop, Endpoint{*IpAddress::parse("127.0.0.1"), 0},
      {relay.dispatcher, [&] { return prometheus_text(relay.dispatcher.context(), control); },
       [&] { return !relay.sessions.draining(); }});
  REQUIRE(server);
  for (const Case& c : cases) {
    CAPTURE(c.description);
    auto fresh = EventLoop::create();
    REQUIRE(fresh);
    auto each = HttpServer::create(
        **fresh, Endpoint{*IpAddress::parse("127.0.0.1"), 0},
        {relay.dispatcher, [&] { return prometheus_text(relay.dispatcher.context(), control); },
         [&] { return !relay.sessions.draining(); }});
    REQUIRE(each);
    const std::string answer = fetch(**fresh, (*each)->port(), c.request);
    for (const std::string& part : c.expected) {
      CAPTURE(answer);
      CHECK(answer.find(part) != std::string::npos);
    }
  }
  relay.sessions.start_draining();
  CHECK(fetch(**loop, (*server)->port(), "GET /healthz HTTP/1.1\r\n").find("503") !=
        std::string::npos);
}

TEST_CASE("a port that is taken is an error with its name") {
  auto loop = EventLoop::create();
  REQUIRE(loop);
  RelayFixture relay;
  const HttpServer::Sources sources{relay.dispatcher, [] { return std::string(); },
                                    [] { return true; }};
  auto first = HttpServer::create(**loop, Endpoint{*IpAddress::parse("127.0.0.1"), 0}, sources);
  REQUIRE(first);
  const auto second = HttpServer::create(
      **loop, Endpoint{*IpAddress::parse("127.0.0.1"), (*first)->port()}, sources);
  REQUIRE_FALSE(second);
  CHECK(second.error().message.find("127.0.0.1:" + std::to_string((*first)->port())) !=
        std::string::npos);
}

}  // namespace
}  // namespace relay
