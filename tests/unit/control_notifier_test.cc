// Lines and JSON-RPC requests to listeners of every manner, over real sockets.
#include "relay/control/notifier.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "notify_listener.h"
#include "relay/control/rpc_transport.h"

namespace relay {

using namespace control_test;
using namespace std::chrono_literals;
using Manner = StreamPeer::Manner;

namespace {

NotifierLimits quick_limits() {
  NotifierLimits limits;
  limits.retry_first = 1ms;
  limits.retry_longest = 10ms;
  limits.transport = {10s, 10s, 50ms, 10s};
  return limits;
}

SocketAddress tcp_address(const std::string& address, uint16_t port = 0) {
  return to_socket_address(endpoint(address, port));
}

LineTarget tcp_target(const Endpoint& to) {
  return {"tcp:" + to.to_string(), to, {}, ""};
}
LineTarget unix_target(const std::string& path) {
  return {"unix:" + path, {}, {}, path};
}
RpcTarget http_target(const Endpoint& to) {
  return {"jsonrpc:http", to, "/RPC?x=1", "relay.example:" + std::to_string(to.port)};
}
RpcTarget datagram_target(const std::string& path) {
  return {"jsonrpc:unix:" + path, {}, path, ""};
}

// A port nobody listens on, for a while.
Endpoint unused_endpoint() {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress any = tcp_address("127.0.0.1");
  RELAY_ASSERT(::bind(fd.get(), any.get(), any.length) == 0);
  return to_endpoint(name_of(fd.get()));
}

struct World {
  explicit World(const NotifierLimits& limits = quick_limits())
      : notifier(std::make_unique<Notifier>(*loop, clock, timeout_counters(counters), limits)) {
    log_set_level(LogLevel::critical);
  }
  ~World() { log_set_level(LogLevel::warning); }

  bool until(const std::function<bool()>& done) { return run_until(*loop, done); }
  bool until_done() {
    return until([&] { return notifier->waiting() == 0; });
  }

  std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create());
  ManualClock clock;
  ControlCounters counters;
  TemporaryDirectory directory;
  std::unique_ptr<Notifier> notifier;
};

const SipDialog kDialog{"call@192.0.2.1", "from", "to"};
constexpr const char* kResult = R"({"jsonrpc":"2.0","result":{},"id":1})";
constexpr const char* kError =
    R"({"jsonrpc":"2.0","error":{"code":500,"message":"Couldnt find callid in dialog"},"id":1})";

std::string http(const std::string& status, const std::string& body) {
  return "HTTP/1.1 " + status +
         "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

}  // namespace

TEST_CASE("lines reach a listener of any address, those of one moment in one segment") {
  struct Case {
    std::string description;
    std::string at;  // an address, or empty for a UNIX socket
    Manner manner;
  };
  const std::vector<Case> cases = {
      {"IPv4", "127.0.0.1", Manner::reads_to_the_end},
      {"IPv6", "::1", Manner::reads_to_the_end},
      {"a UNIX socket", "", Manner::reads_to_the_end},
      {"closing after one read", "127.0.0.1", Manner::closes_after_reading},
      {"closing after one read, UNIX", "", Manner::closes_after_reading},
      {"answering", "127.0.0.1", Manner::answers},
      {"answering, UNIX", "", Manner::answers},
      {"never closing its side", "127.0.0.1", Manner::stays_open},
      {"never closing its side, UNIX", "", Manner::stays_open},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    World world;
    const std::string path = world.directory.file("listener");
    StreamPeer peer(*world.loop, c.at.empty() ? unix_address(path) : tcp_address(c.at), c.manner);
    const LineTarget target = c.at.empty() ? unix_target(path) : tcp_target(peer.where());
    world.notifier->notify(target, "Te08.a48");
    world.notifier->notify(target, "tag x");
    REQUIRE(world.until_done());
    // Each further event has a connection of its own, so that a closed one cannot swallow it.
    world.notifier->notify(target, "Dd421.0 5 10 640 0");
    REQUIRE(world.until_done());
    CHECK(peer.texts() == std::vector<std::string>{"Te08.a48\ntag x\n", "Dd421.0 5 10 640 0\n"});
    CHECK(world.counters.notifications_sent == 3);
    CHECK(world.counters.notifications_retried == 0);
    CHECK(world.counters.notifications_dropped == 0);
  }
}

TEST_CASE("a listener that is away is told when it is back, in order") {
  for (const bool over_tcp : {true, false}) {
    CAPTURE(over_tcp);
    World world;
    const Endpoint where = unused_endpoint();
    const std::string path = world.directory.file("listener");
    const LineTarget target = over_tcp ? tcp_target(where) : unix_target(path);
    world.notifier->notify(target, "first");
    REQUIRE(world.until([&] { return world.counters.notifications_retried >= 3; }));
    world.notifier->notify(target, "second");
    StreamPeer peer(*world.loop, over_tcp ? to_socket_address(where) : unix_address(path),
                    Manner::reads_to_the_end);
    REQUIRE(world.until_done());
    CHECK(peer.all_text() == "first\nsecond\n");
    CHECK(world.counters.notifications_sent == 2);
    CHECK(world.counters.notifications_dropped == 0);
  }
}

TEST_CASE("what a listener closed unread is told again") {
  for (const Manner manner : {Manner::closes_at_once, Manner::closes_unread}) {
    for (const bool over_tcp : {true, false}) {
      CAPTURE(static_cast<int>(manner));
      CAPTURE(over_tcp);
      NotifierLimits limits = quick_limits();
      limits.doubtful_tries = 1000;
      World world(limits);
      const std::string path = world.directory.file("listener");
      StreamPeer peer(*world.loop, over_tcp ? tcp_address("127.0.0.1") : unix_address(path),
                      manner);
      const LineTarget target = over_tcp ? tcp_target(peer.where()) : unix_target(path);
      world.notifier->notify(target, "first");
      REQUIRE(world.until([&] { return world.counters.notifications_retried >= 3; }));
      CHECK(world.counters.notifications_sent == 0);
      peer.manner = Manner::closes_after_reading;
      world.notifier->notify(target, "second");
      REQUIRE(world.until_done());
      CHECK(peer.all_text() == "first\nsecond\n");
      CHECK(world.counters.notifications_sent == 2);
    }
  }
}

TEST_CASE("a line that is lost again and again is given up, and those beside it are not") {
  World world;
  StreamPeer peer(*world.loop, tcp_address("127.0.0.1"), Manner::reads_to_the_end);
  peer.poison = "lost";
  for (const char* line : {"a", "lost", "b"}) {
    world.notifier->notify(tcp_target(peer.where()), line);
  }
  REQUIRE(world.until_done());
  CHECK(world.counters.notifications_dropped == 1);
  CHECK(world.counters.notifications_sent == 2);
  CHECK(peer.all_text() == "a\nb\n");
}

TEST_CASE("no more goes into one connection than OpenSIPS reads at once") {
  World world;
  StreamPeer peer(*world.loop, tcp_address("127.0.0.1"), Manner::closes_after_reading);
  const LineTarget target = tcp_target(peer.where());
  const std::string line(99, 'a');
  std::string expected;
  for (int i = 0; i < 5; ++i) {
    world.notifier->notify(target, line);
    expected += line + "\n";
  }
  const std::string longer(1000, 'b');
  world.notifier->notify(target, longer);
  REQUIRE(world.until_done());
  CHECK(peer.all_text() == expected + longer + "\n");
  CHECK(peer.connections() == 4);
  for (const std::string& text : peer.texts()) CHECK((text.size() <= 255 || text[0] == 'b'));
}

TEST_CASE("a line that does not fit the socket goes out in parts") {
  World world;
  const std::string path = world.directory.file("listener");
  StreamPeer peer(*world.loop, unix_address(path), Manner::reads_to_the_end);
  const std::string line(1'000'000, 'x');  // a UNIX socket takes some 200 KiB
  world.notifier->notify(unix_target(path), line);
  REQUIRE(world.until_done());
  CHECK(peer.all_text() == line + "\n");
  CHECK(peer.connections() == 1);
}

TEST_CASE("the address to connect from is kept, and done without when it has gone") {
  World world;
  StreamPeer peer(*world.loop, tcp_address("127.0.0.1"), Manner::reads_to_the_end);
  LineTarget target = tcp_target(peer.where());
  target.source = *IpAddress::parse("127.0.0.9");
  world.notifier->notify(target, "a");
  REQUIRE(world.until_done());
  CHECK(peer.last_client().address.to_string() == "127.0.0.9");
  target.name = "another";
  target.source = *IpAddress::parse("192.0.2.77");
  world.notifier->notify(target, "b");
  REQUIRE(world.until_done());
  CHECK(peer.all_text() == "a\nb\n");
}

TEST_CASE("a notification that nobody takes in time is dropped and counted") {
  World world;
  const LineTarget target = tcp_target(unused_endpoint());
  world.notifier->notify(target, "old");
  world.clock.advance(59s);
  REQUIRE(world.until([&] { return world.counters.notifications_retried >= 3; }));
  world.notifier->notify(target, "new");
  CHECK(world.notifier->waiting() == 2);
  world.clock.advance(1s);
  REQUIRE(world.until([&] { return world.counters.notifications_dropped == 1; }));
  CHECK(world.notifier->waiting() == 1);
  world.clock.advance(60s);
  REQUIRE(world.until_done());
  CHECK(world.counters.notifications_dropped == 2);
  CHECK(world.counters.notifications_sent == 0);
}

TEST_CASE("queues and the number of targets are bounded") {
  NotifierLimits limits = quick_limits();
  limits.queue_items = 3;
  limits.queue_bytes = 100;
  limits.targets = 2;
  World world(limits);
  const LineTarget one = tcp_target(unused_endpoint());
  LineTarget two = one, three = one;
  two.name = "two";
  three.name = "three";
  for (const char* line : {"a", "b", "c", "d"}) world.notifier->notify(one, line);
  CHECK(world.notifier->waiting() == 3);
  CHECK(world.counters.notifications_dropped == 1);
  world.notifier->notify(two, std::string(99, 'x'));
  world.notifier->notify(two, "y");
  CHECK(world.notifier->waiting() == 4);
  CHECK(world.counters.notifications_dropped == 2);
  world.notifier->notify(three, "z");
  CHECK(world.notifier->waiting() == 4);
  CHECK(world.counters.notifications_dropped == 3);
  world.notifier.reset();
  CHECK(world.counters.notifications_dropped == 7);
}

TEST_CASE("a notifier may end in the middle of a delivery") {
  World world;
  StreamPeer lines(*world.loop, tcp_address("127.0.0.1"), Manner::stays_open);
  StreamPeer web(*world.loop, tcp_address("127.0.0.1"), Manner::stays_open);
  world.notifier->notify(tcp_target(lines.where()), "a");
  world.notifier->terminate_dialog(http_target(web.where()), kDialog);
  REQUIRE(world.until([&] { return lines.connections() == 1 && web.connections() == 1; }));
  world.notifier.reset();
  CHECK(world.counters.notifications_dropped + world.counters.notifications_sent == 2);
}

TEST_CASE("what a JSON-RPC reply says") {
  using Kind = DeliveryOutcome::Kind;
  struct Case {
    std::string description, body;
    Kind kind;
    std::string reason;
  };
  const std::vector<Case> cases = {
      {"a result", kResult, Kind::delivered, ""},
      {"a result beside a null error", R"({"result":1,"error":null})", Kind::delivered, ""},
      {"an error", kError, Kind::refused, "error 500 Couldnt find callid in dialog"},
      {"an error of another shape", R"({"error":"no"})", Kind::refused, "error \"no\""},
      {"neither", R"({"id":1})", Kind::in_doubt, "no JSON-RPC reply: {\"id\":1}"},
      {"a list", "[]", Kind::in_doubt, "no JSON-RPC reply: []"},
      {"no JSON", "hello", Kind::in_doubt, "no JSON-RPC reply: hello"},
      {"nothing", "", Kind::in_doubt, "no JSON-RPC reply: "},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const DeliveryOutcome outcome = read_rpc_reply(c.body);
    CHECK(outcome.kind == c.kind);
    CHECK(outcome.reason == c.reason);
  }
}

TEST_CASE("dialogs are ended over HTTP") {
  World world;
  StreamPeer peer(*world.loop, tcp_address("127.0.0.1"), Manner::replies);
  peer.reply = http("200 OK", kResult);
  const RpcTarget target = http_target(peer.where());
  world.notifier->terminate_dialog(target, kDialog);
  world.notifier->terminate_dialog(target, {"c\xff\"2", "f", "t"});
  REQUIRE(world.until_done());
  CHECK(world.counters.notifications_sent == 2);
  REQUIRE(peer.connections() == 2);
  const std::string request = peer.texts()[0];
  CHECK(request.starts_with("POST /RPC?x=1 HTTP/1.1\r\n"));
  CHECK(request.find("\r\nHost: " + target.host + "\r\n") != std::string::npos);
  CHECK(request.find("\r\nContent-Type: application/json\r\n") != std::string::npos);
  const auto body = nlohmann::json::parse(request.substr(request.find("\r\n\r\n")));
  CHECK(body["jsonrpc"] == "2.0");
  CHECK(body["method"] == "dlg.terminate_dlg");
  CHECK(body["params"] == nlohmann::json({"call@192.0.2.1", "from", "to"}));
  CHECK(body["id"] == 1);
  const std::string second = peer.texts()[1];
  CHECK(nlohmann::json::parse(second.substr(second.find("\r\n\r\n")))["id"] == 2);
}

TEST_CASE("what an HTTP server may answer") {
  struct Case {
    std::string description, reply;
    uint64_t sent, refused, retried, dropped;
  };
  const std::vector<Case> cases = {
      {"a result", http("200 OK", kResult), 1, 0, 0, 0},
      {"an error under its own status", http("500 Couldnt find callid", kError), 0, 1, 0, 0},
      {"an error under status 200", http("200 OK", kError), 0, 1, 0, 0},
      {"no such page", http("404 Not Found", "<html/>"), 0, 1, 0, 0},
      {"not allowed", http("403 Forbidden", "no"), 0, 1, 0, 0},
      {"a page where a reply should be", http("200 OK", "hello"), 0, 1, 0, 0},
      {"busy, for good", http("503 Busy", "later"), 0, 0, 5, 1},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    World world;
    StreamPeer peer(*world.loop, tcp_address("127.0.0.1"), Manner::replies);
    peer.reply = c.reply;
    world.notifier->terminate_dialog(http_target(peer.where()), kDialog);
    REQUIRE(world.until_done());
    CHECK(world.counters.notifications_sent == c.sent);
    CHECK(world.counters.notifications_refused == c.refused);
    CHECK(world.counters.notifications_retried == c.retried);
    CHECK(world.counters.notifications_dropped == c.dropped);
  }
}

TEST_CASE("a web server that is away, closes or is silent is asked again") {
  NotifierLimits limits = quick_limits();
  limits.transport.answer = 50ms;
  limits.doubtful_tries = 100;
  World world(limits);
  const Endpoint where = unused_endpoint();
  world.notifier->terminate_dialog(http_target(where), kDialog);
  REQUIRE(world.until([&] { return world.counters.notifications_retried == 2; }));
  StreamPeer peer(*world.loop, to_socket_address(where), Manner::closes_at_once);
  REQUIRE(world.until([&] { return world.counters.notifications_retried >= 4; }));
  peer.manner = Manner::stays_open;
  REQUIRE(world.until([&] { return world.counters.notifications_retried >= 6; }));
  CHECK(world.counters.notifications_dropped == 0);
  peer.reply = http("200 OK", kResult);
  peer.manner = Manner::replies;
  REQUIRE(world.until_done());
  CHECK(world.counters.notifications_sent == 1);
}

TEST_CASE("dialogs are ended by datagrams") {
  World world;
  const RpcTarget target = datagram_target(world.directory.file("rpc"));
  world.notifier->terminate_dialog(target, kDialog);
  REQUIRE(world.until([&] { return world.counters.notifications_retried >= 2; }));
  DatagramPeer peer(*world.loop, target.path, kResult);
  REQUIRE(world.until_done());
  CHECK(world.counters.notifications_sent == 1);
  REQUIRE(peer.requests.size() == 1);
  CHECK(nlohmann::json::parse(peer.requests[0])["method"] == "dlg.terminate_dlg");
  peer.reply = kError;
  world.notifier->terminate_dialog(target, kDialog);
  REQUIRE(world.until_done());
  CHECK(world.counters.notifications_refused == 1);
}

TEST_CASE("a datagram without an answer is sent again, and given up") {
  NotifierLimits limits = quick_limits();
  limits.transport.answer = 10ms;
  World world(limits);
  const RpcTarget target = datagram_target(world.directory.file("rpc"));
  DatagramPeer peer(*world.loop, target.path, "");
  world.notifier->terminate_dialog(target, kDialog);
  REQUIRE(world.until_done());
  CHECK(world.counters.notifications_dropped == 1);
  CHECK(world.counters.notifications_retried == 5);
  CHECK(world.counters.notifications_sent == 0);
}

}  // namespace relay
