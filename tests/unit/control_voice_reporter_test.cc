// What voice sessions tell, to webhooks of every manner and to notification sockets, over real
// sockets.
#include "relay/control/voice_reporter.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "notify_listener.h"
#include "relay/control/webhook.h"
#include "tests/support/relay_fixture.h"
#include "tests/unit/config_support.h"

namespace relay {

using namespace control_test;
using namespace std::chrono_literals;
using Manner = StreamPeer::Manner;
using nlohmann::json;

namespace {

VoiceNotice notice_of(uint64_t number, VoiceEventKind kind = VoiceEventKind::started,
                      const std::string& text = {}) {
  VoiceNotice notice;
  notice.number = number;
  notice.id = 1;
  notice.call_id = "c1";
  notice.from_tag = "ft";
  notice.profile = "bot";
  VoiceEvent event;
  event.kind = kind;
  event.text = text;
  notice.report.event = event;
  return notice;
}

std::string answer(const std::string& status) {
  return "HTTP/1.1 " + status + "\r\nContent-Length: 0\r\n\r\n";
}

NotifierLimits quick_limits() {
  NotifierLimits limits = voice_event_limits();
  limits.retry_first = 1ms;
  limits.retry_longest = 10ms;
  limits.transport = {10s, 10s, 50ms, 10s};
  return limits;
}

SocketAddress loopback(uint16_t port = 0) {
  return to_socket_address(endpoint("127.0.0.1", port));
}

struct World {
  explicit World(const NotifierLimits& limits = quick_limits())
      : notifier(*loop, clock, voice_event_counters(counters), limits),
        config(parse_good({"-m", "30000", "-b", "-l", "*", "-n", "unix:" + lines_path})),
        relay(config),
        reporter(config.startup, notifier, relay.sessions.table()) {
    log_set_level(LogLevel::critical);
  }
  ~World() { log_set_level(LogLevel::warning); }

  bool until(const std::function<bool()>& done) { return run_until(*loop, done); }
  bool until_done() {
    return until([&] { return notifier.waiting() == 0; });
  }
  void tell(const std::string& url, std::vector<VoiceParameter> headers = {}) {
    VoiceConfig voice;
    voice.webhooks = {{url, "relay.toml:1: voice.webhook"}};
    voice.webhook_headers = std::move(headers);
    auto reporting = load_voice_reporting(voice);
    REQUIRE(reporting);
    reporter.set(std::move(*reporting));
  }
  void tell(const Endpoint& where) { tell("http://" + where.to_string() + "/hook?k=v"); }

  std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create());
  ManualClock clock;
  ControlCounters counters;
  TemporaryDirectory directory;
  std::string lines_path = directory.file("lines");
  Notifier notifier;
  Config config;
  RelayFixture relay;
  VoiceReporter reporter;
};

// The numbers of the events that one request brought.
std::vector<uint64_t> numbers_in(const std::string& request) {
  std::vector<uint64_t> numbers;
  const auto body = json::parse(request.substr(request.find("\r\n\r\n")), nullptr, false);
  REQUIRE(body.is_object());
  for (const json& event : body["events"]) numbers.push_back(event["number"].get<uint64_t>());
  return numbers;
}

}  // namespace

TEST_CASE("a webhook gets events as JSON, those of one moment in one request") {
  World world;
  ::setenv("RTPP_HOOK_TOKEN", "s3cret", 1);
  StreamPeer peer(*world.loop, loopback(), Manner::replies);
  peer.reply = answer("204 No Content");
  const std::string where = peer.where().to_string();
  world.tell("http://" + where + "/hook?k=v",
             {{"Authorization", "Bearer ${env:RTPP_HOOK_TOKEN}"}, {"X-Site", "a"}});
  VoiceNotice odd = notice_of(1, VoiceEventKind::user_speech, "您好 \"a\"\n");
  odd.call_id = "c\xff\n1";
  world.reporter.report(odd);
  world.reporter.report(notice_of(2));
  REQUIRE(world.until_done());
  REQUIRE(peer.connections() == 1);
  const std::string request = peer.texts()[0];
  CHECK(request.starts_with("POST /hook?k=v HTTP/1.1\r\n"));
  CHECK(request.find("\r\nHost: " + where + "\r\n") != request.npos);
  CHECK(request.find("\r\nContent-Type: application/json\r\n") != request.npos);
  CHECK(request.find("\r\nAuthorization: Bearer s3cret\r\n") != request.npos);
  CHECK(request.find("\r\nX-Site: a\r\n") != request.npos);
  CHECK(numbers_in(request) == std::vector<uint64_t>{1, 2});
  const json event = json::parse(request.substr(request.find("\r\n\r\n")))["events"][0];
  CHECK(event["event"] == "user-speech");
  CHECK(event["text"] == "您好 \"a\"\n");
  CHECK(event["call_id"] == "c\xef\xbf\xbd\n1");
  CHECK(event["profile"] == "bot");
  CHECK(world.counters.voice_events_sent == 2);
  CHECK(world.counters.notifications_sent == 0);
}

TEST_CASE("a webhook that is down, fails, is silent and recovers misses nothing, in order") {
  NotifierLimits limits = quick_limits();
  limits.doubtful_tries = 1000;
  limits.transport.answer = 50ms;
  World world(limits);
  Endpoint where;
  {
    const StreamPeer nobody(*world.loop, loopback(), Manner::replies);
    where = nobody.where();
  }
  world.tell(where);
  const auto& retried = world.counters.voice_events_retried;
  const auto until_retried = [&](uint64_t times) {
    const uint64_t before = retried;
    return world.until([&] { return retried >= before + times; });
  };
  world.reporter.report(notice_of(1));
  REQUIRE(until_retried(2));  // refused connections
  StreamPeer peer(*world.loop, to_socket_address(where), Manner::replies);
  peer.reply = answer("500 Oops");
  world.reporter.report(notice_of(2));
  REQUIRE(until_retried(3));
  peer.manner = Manner::closes_at_once;
  REQUIRE(until_retried(2));
  peer.manner = Manner::stays_open;  // reads and says nothing
  world.reporter.report(notice_of(3));
  REQUIRE(until_retried(2));
  CHECK(world.counters.voice_events_sent == 0);
  peer.manner = Manner::replies;
  peer.reply = answer("200 OK");
  const size_t before = peer.connections();
  REQUIRE(world.until_done());
  std::vector<uint64_t> taken;
  for (size_t i = before; i < peer.connections(); ++i) {
    const auto numbers = numbers_in(peer.texts()[i]);
    taken.insert(taken.end(), numbers.begin(), numbers.end());
  }
  CHECK(taken == std::vector<uint64_t>{1, 2, 3});
  CHECK(world.counters.voice_events_sent == 3);
  CHECK(world.counters.voice_events_dropped == 0);
}

TEST_CASE("what a webhook's answer means") {
  struct Case {
    std::string description, status;
    uint64_t sent, refused, retried, dropped;
  };
  const std::vector<Case> cases = {
      {"taken", "200 OK", 1, 0, 0, 0},
      {"taken, without a word", "204 No Content", 1, 0, 0, 0},
      {"elsewhere", "302 Found", 0, 1, 0, 0},
      {"not allowed", "401 Unauthorized", 0, 1, 0, 0},
      {"no such page", "404 Not Found", 0, 1, 0, 0},
      {"too many, for good", "429 Too Many Requests", 0, 0, 10, 1},
      {"broken, for good", "500 Oops", 0, 0, 10, 1},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    World world;
    StreamPeer peer(*world.loop, loopback(), Manner::replies);
    peer.reply = answer(c.status);
    world.tell(peer.where());
    world.reporter.report(notice_of(1));
    REQUIRE(world.until_done());
    CHECK(world.counters.voice_events_sent == c.sent);
    CHECK(world.counters.voice_events_refused == c.refused);
    CHECK(world.counters.voice_events_retried == c.retried);
    CHECK(world.counters.voice_events_dropped == c.dropped);
  }
}

TEST_CASE("of too many events the oldest that are not under way go") {
  NotifierLimits limits = quick_limits();
  limits.queue_items = 3;
  World world(limits);
  StreamPeer peer(*world.loop, loopback(), Manner::stays_open);
  world.tell(peer.where());
  world.reporter.report(notice_of(1));
  REQUIRE(world.until([&] { return peer.all_text().ends_with("}"); }));
  for (uint64_t number = 2; number <= 6; ++number) world.reporter.report(notice_of(number));
  CHECK(world.notifier.waiting() == 3);
  CHECK(world.counters.voice_events_dropped == 3);
  // An event as long as the whole queue may be takes the place of all that wait.
  world.reporter.report(notice_of(7, VoiceEventKind::ai_response, std::string(1 << 20, 'x')));
  CHECK(world.counters.voice_events_dropped == 6);
  CHECK(world.notifier.waiting() == 1);
}

TEST_CASE("a webhook's host may be a name") {
  World world;
  StreamPeer peer(*world.loop, loopback(), Manner::replies);
  peer.reply = answer("200 OK");
  world.tell("http://localhost:" + std::to_string(peer.where().port));
  world.reporter.report(notice_of(1));
  REQUIRE(world.until_done());
  CHECK(world.counters.voice_events_sent == 1);
  CHECK(peer.all_text().starts_with("POST / HTTP/1.1\r\n"));
}

TEST_CASE("a host whose addresses nobody listens on is tried again and again") {
  World world;
  Endpoint where;
  {
    const StreamPeer nobody(*world.loop, loopback(), Manner::replies);
    where = nobody.where();
  }
  world.tell("http://localhost:" + std::to_string(where.port));
  world.reporter.report(notice_of(1));
  REQUIRE(world.until([&] { return world.counters.voice_events_retried >= 5; }));
  StreamPeer peer(*world.loop, to_socket_address(where), Manner::replies);
  peer.reply = answer("200 OK");
  REQUIRE(world.until_done());
  CHECK(world.counters.voice_events_sent == 1);
}

TEST_CASE("a name that nobody knows costs its events and no more") {
  NotifierLimits limits = quick_limits();
  limits.transport.answer = 100ms;
  World world(limits);
  world.tell("http://no-such-host.invalid/");
  world.reporter.report(notice_of(1));
  REQUIRE(world.until([&] { return world.counters.voice_events_retried >= 1; }));
  world.clock.advance(61s);
  REQUIRE(world.until_done());
  CHECK(world.counters.voice_events_dropped == 1);
}

TEST_CASE("webhooks that are refused, with the line they stand on and without secrets") {
  struct Case {
    std::string description, url, header, message;
  };
  const std::vector<Case> cases = {
      {"https", "https://192.0.2.1/?s3cret", "", "conf:1: \"https://192.0.2.1/\": https is not"},
      {"another scheme", "ws://192.0.2.1/", "", "conf:1: \"ws://192.0.2.1/\": expected http://"},
      {"no scheme", "192.0.2.1:80", "", "expected http://HOST[:PORT]/PATH"},
      {"no host", "http:///x", "", "expected http://HOST[:PORT]/PATH"},
      {"a blank", "http://192.0.2.1/a b", "", "expected http://HOST[:PORT]/PATH"},
      {"a password", "http://192.0.2.1@192.0.2.2/", "", "expected them in webhook_headers"},
      {"port 0", "http://192.0.2.1:0/", "", "expected a port from 1 to 65535"},
      {"a port too high", "http://192.0.2.1:65536/", "", "expected"},
      {"no such secret", "http://192.0.2.1/", "${env:RTPP_NO_SUCH}", "conf:2: ${env:RTPP_NO_SUCH}"},
      {"a variable of a call", "http://192.0.2.1/", "${env:RTPP_S} ${call_id}",
       "conf:2: expected ${env:NAME} or ${file:PATH} only"},
      {"an unknown variable", "http://192.0.2.1/", "${x}", "conf:2: \"x\""},
      {"a secret of two lines", "http://192.0.2.1/", "${env:RTPP_TWO_LINES}", "control characters"},
  };
  ::setenv("RTPP_S", "s3cret", 1);
  ::setenv("RTPP_TWO_LINES", "s3cret\ns3cret", 1);
  for (const Case& c : cases) {
    CAPTURE(c.description);
    VoiceConfig voice;
    voice.webhooks = {{c.url, "conf:1"}};
    voice.webhook_headers = {{"X", c.header}};
    voice.webhook_headers_source = "conf:2";
    const auto loaded = load_webhooks(voice);
    REQUIRE_FALSE(loaded);
    CAPTURE(loaded.error().message);
    CHECK(loaded.error().message.find(c.message) != std::string::npos);
    CHECK(loaded.error().message.find("s3cret") == std::string::npos);
  }
}

TEST_CASE("webhooks that are taken") {
  struct Case {
    std::string url, host, path, shown;
    uint16_t port;
  };
  const std::vector<Case> cases = {
      {"http://192.0.2.1", "192.0.2.1", "/", "192.0.2.1", 80},
      {"http://192.0.2.1:8080/a?b=c&d", "192.0.2.1", "/a?b=c&d", "192.0.2.1:8080", 8080},
      {"http://[2001:db8::1]:81/", "2001:db8::1", "/", "[2001:db8::1]:81", 81},
      {"http://hooks.example.com/x", "hooks.example.com", "/x", "hooks.example.com", 80},
  };
  VoiceConfig voice;
  for (const Case& c : cases) voice.webhooks.push_back({c.url, "conf"});
  const auto loaded = load_webhooks(voice);
  REQUIRE(loaded);
  REQUIRE(loaded->size() == cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    CAPTURE(cases[i].url);
    const HttpServerAddress& server = (*loaded)[i].server;
    CHECK(server.host == cases[i].host);
    CHECK(server.port == cases[i].port);
    CHECK(server.path == cases[i].path);
    CHECK(server.headers.at(0).second == cases[i].shown);
    CHECK((*loaded)[i].name.find("b=c") == std::string::npos);
  }
}

TEST_CASE("the notification socket of the call is told, if that is wanted") {
  for (const bool wanted : {true, false}) {
    CAPTURE(wanted);
    World world;
    StreamPeer lines(*world.loop, unix_address(world.lines_path), Manner::reads_to_the_end);
    world.reporter.set({{}, wanted});
    REQUIRE(world.relay.ask("U c1 192.0.2.1 4000 ft " + world.lines_path + " tag7") == "30000");
    REQUIRE(world.relay.ask("U c2 192.0.2.1 4000 ft") == "30002");
    const auto report = [&](const std::string& call_id, VoiceNotice notice) {
      const auto found = world.relay.sessions.find(call_id, "ft", std::nullopt);
      notice.id = call_id == "c1" ? 1 : 2;
      notice.session_serial = found ? found->session->serial : 1'000'000;
      world.reporter.report(notice);
    };
    report("c1", notice_of(1));
    report("c2", notice_of(2));  // that session has none
    REQUIRE(world.until_done());
    const std::string first = lines.all_text();
    // The end of the voice session comes after that of the call.
    CHECK(world.relay.ask("D c1 ft") == "0");
    world.relay.wait_s(10);
    report("c1", notice_of(3, VoiceEventKind::ended));
    REQUIRE(world.until_done());
    const std::string second = lines.all_text().substr(first.size());
    CHECK((first.empty() && second.empty()) == !wanted);
    if (!wanted) continue;
    CHECK(first.starts_with("tag7 voice {"));
    CHECK(first.find('\n') == first.size() - 1);
    CHECK(json::parse(first.substr(11))["number"] == 1);
    CHECK(json::parse(second.substr(11))["event"] == "ended");
  }
}

}  // namespace relay
