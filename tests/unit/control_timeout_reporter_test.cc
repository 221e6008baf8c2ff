// From U's notification arguments to who is told what.
#include "relay/control/timeout_reporter.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "notify_listener.h"
#include "tests/support/relay_fixture.h"
#include "tests/unit/config_support.h"

namespace relay {

using namespace control_test;
using Manner = StreamPeer::Manner;

namespace {

NotifyTargets targets(const std::vector<std::string>& texts) {
  Words words;
  for (const std::string& text : texts) words.insert(words.end(), {"-n", text});
  return NotifyTargets(parse_good(words).startup.notify_targets);
}

CommandOrigin origin(const std::string& peer, const std::string& local) {
  return {endpoint(peer, 40000), endpoint(local, 7722)};
}

// A relay whose sessions time out after 5 s, a listener for lines and one for JSON-RPC.
struct World {
  World(const std::vector<std::string>& options, bool all_to_rpc, bool all_to_lines = false)
      : notifier(*loop, relay_clock, timeout_counters(counters)),
        config(config_with(options, all_to_rpc, all_to_lines)),
        relay(config),
        reporter(config.startup, notifier, relay.sessions.table()) {
    log_set_level(LogLevel::critical);
    relay.sessions.on_timeout([this](const Session& session) { reporter.report(session); });
  }
  ~World() { log_set_level(LogLevel::warning); }

  Config config_with(const std::vector<std::string>& options, bool all_to_rpc, bool all_to_lines) {
    Words words = {"-T",
                   "5",
                   "-m",
                   "30000",
                   "-b",
                   "-l",
                   "*",
                   "-n",
                   "unix:" + lines_path,
                   "-n",
                   "jsonrpc:unix:" + rpc_path};
    if (all_to_rpc) words.insert(words.end(), {"--notify-all", "jsonrpc:unix:" + rpc_path});
    if (all_to_lines) words.insert(words.end(), {"--notify-all", lines_path});
    words.insert(words.end(), options.begin(), options.end());
    return parse_good(words);
  }
  // Until everybody has been told: the lines, and the parameters of the requests.
  std::string told() {
    CHECK(run_until(*loop, [&] { return notifier.waiting() == 0; }));
    std::string text = lines.all_text();
    for (const std::string& request : rpc.requests) {
      text += nlohmann::json::parse(request)["params"].dump() + "\n";
    }
    return text;
  }

  std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create());
  ManualClock relay_clock;
  ControlCounters counters;
  TemporaryDirectory directory;
  std::string lines_path = directory.file("lines"), rpc_path = directory.file("rpc");
  StreamPeer lines{*loop, unix_address(lines_path), Manner::reads_to_the_end};
  DatagramPeer rpc{*loop, rpc_path, R"({"result":{}})"};
  Notifier notifier;
  Config config;
  RelayFixture relay;
  TimeoutReporter reporter;
};

}  // namespace

TEST_CASE("U's socket argument names a configured target") {
  struct Case {
    std::string description, configured, socket;
    std::string name;  // empty: none
  };
  const CommandOrigin proxy = origin("192.0.2.7", "198.51.100.1");
  const std::vector<Case> cases = {
      {"as configured", "tcp:192.0.2.1:9000", "tcp:192.0.2.1:9000", "tcp:192.0.2.1:9000"},
      {"by host name", "tcp:localhost:9000", "tcp:localhost:9000", "tcp:localhost:9000"},
      {"without tcp:, from OpenSIPS", "tcp:192.0.2.1:9000", "192.0.2.1:9000", "tcp:192.0.2.1:9000"},
      {"another port", "tcp:192.0.2.1:9000", "tcp:192.0.2.1:9001", ""},
      {"a path as configured", "unix:/run/x", "unix:/run/x", "unix:/run/x"},
      {"a path without unix:", "unix:/run/x", "/run/x", "unix:/run/x"},
      {"a path with unix:", "/run/x", "unix:/run/x", "/run/x"},
      {"another path", "/run/x", "/run/y", ""},
      {"the sender", "tcp:%%CC_SELF%%:9000", "tcp:%%CC_SELF%%:9000",
       "tcp:192.0.2.7:9000 from 198.51.100.1"},
      {"the sender, another port", "tcp:%%CC_SELF%%:9000", "tcp:%%CC_SELF%%:9001", ""},
      {"the sender's address spelled out", "tcp:%%CC_SELF%%:9000", "tcp:192.0.2.7:9000", ""},
      {"JSON-RPC", "jsonrpc:http://192.0.2.1/RPC", "jsonrpc:http://192.0.2.1/RPC",
       "jsonrpc:http://192.0.2.1/RPC"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const NotifyTargets configured = targets({"/run/other", c.configured});
    const auto name = configured.resolve(c.socket, proxy);
    CHECK(name.value_or("") == c.name);
    if (name) CHECK(name_of(configured.find(*name).value()) == *name);
  }
}

TEST_CASE("the sender of a command is where the command came from") {
  struct Case {
    std::string description;
    CommandOrigin from;
    std::string where, source;
  };
  const std::vector<Case> cases = {
      {"IPv4", origin("192.0.2.7", "198.51.100.1"), "192.0.2.7:9000", "198.51.100.1"},
      {"IPv6", origin("2001:db8::7", "2001:db8::1"), "[2001:db8::7]:9000", "2001:db8::1"},
      {"a UNIX socket or standard input", {}, "127.0.0.1:9000", ""},
  };
  const NotifyTargets configured = targets({"tcp:%%CC_SELF%%:9000"});
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const auto name = configured.resolve("tcp:%%CC_SELF%%:9000", c.from);
    REQUIRE(name);
    const NotifyTarget target = configured.find(*name).value();
    const auto& lines = std::get<LineTarget>(target);
    CHECK(lines.endpoint.to_string() == c.where);
    CHECK((lines.source.valid() ? lines.source.to_string() : "") == c.source);
  }
  for (const char* name : {"", "tcp:", "tcp:x:1", "tcp:192.0.2.1:x", "tcp:192.0.2.1:1 from x",
                           "tcp:%%CC_SELF%%:9000", "/run/gone"}) {
    CAPTURE(name);
    CHECK_FALSE(configured.find(name));
  }
}

TEST_CASE("each session's listener gets its line, with the tag decoded") {
  World world({}, false);
  const std::string lines = "unix:" + world.lines_path;
  CHECK(world.relay.ask("U a 192.0.2.1 4000 ft;1 " + lines + " r%207+1") == "30000");
  CHECK(world.relay.ask("U a 192.0.2.1 4002 ft;2 " + world.lines_path + " r%207+2") == "30002");
  CHECK(world.relay.ask("L a 192.0.2.2 4000 ft;1 tt;1") == "30004");
  // Kamailio, before and after 5.8.
  CHECK(world.relay.ask("U b 192.0.2.1 4000 ft;1 " + lines + ";tag%20b") == "30006");
  CHECK(world.relay.ask("U c 192.0.2.1 4000 ft;1 tt;1 " + lines) == "30008");
  // Not told: withdrawn, unknown, deleted.
  CHECK(world.relay.ask("U d 192.0.2.1 4000 ft " + lines + " d") == "30010");
  CHECK(world.relay.ask("U d 192.0.2.1 4000 ft") == "30010");
  CHECK(world.relay.ask("U e 192.0.2.1 4000 ft /run/unknown e") == "30012");
  CHECK(world.relay.ask("U f 192.0.2.1 4000 ft " + lines + " f") == "30014");
  CHECK(world.relay.ask("D f ft") == "0");
  world.relay.wait_s(7);
  CHECK(world.relay.sessions.active() == 0);
  std::vector<std::string> told;
  std::istringstream text(world.told());
  for (std::string line; std::getline(text, line);) told.push_back(line);
  std::sort(told.begin(), told.end());
  CHECK(told == std::vector<std::string>{"c", "r 7 1", "r 7 2", "tag b"});
}

TEST_CASE("X and the end of the relay tell nobody") {
  World world({}, true);
  world.relay.ask("U a 192.0.2.1 4000 ft " + world.lines_path + " a");
  world.relay.ask("L a 192.0.2.2 4000 ft tt");
  world.relay.ask("X");
  CHECK(world.relay.sessions.active() == 0);
  CHECK(world.told().empty());
}

TEST_CASE("--notify-all ends the dialog of every call that timed out, once") {
  struct Case {
    std::string description;
    std::vector<std::string> commands;
    std::string told;
  };
  const std::vector<Case> cases = {
      {"two media",
       {"U a 192.0.2.1 4000 ft;1", "U a 192.0.2.1 4002 ft;2", "L a 192.0.2.2 4000 ft;1 tt;1",
        "L a 192.0.2.2 4002 ft;2 tt;2"},
       "[\"a\",\"ft\",\"tt\"]\n"},
      {"the second was declined",
       {"U a 192.0.2.1 4000 ft;1", "U a 192.0.2.1 4002 ft;2", "L a 192.0.2.2 4000 ft;1 tt;1"},
       "[\"a\",\"ft\",\"tt\"]\n"},
      {"a branch behind the call-id",
       {"U a;z9hG4bK1 192.0.2.1 4000 ft", "L a;z9hG4bK1 192.0.2.2 4 ft t"},
       "[\"a\",\"ft\",\"t\"]\n"},
      {"the last branch that answered",
       {"U a 192.0.2.1 4000 ft", "L a 192.0.2.2 4000 ft t1", "L a 192.0.2.3 4000 ft t2"},
       "[\"a\",\"ft\",\"t2\"]\n"},
      {"two calls",
       {"U a 192.0.2.1 4000 ft", "L a 192.0.2.2 4000 ft t1", "U b 192.0.2.1 4000 ft",
        "L b 192.0.2.2 4000 ft t1"},
       "[\"a\",\"ft\",\"t1\"]\n[\"b\",\"ft\",\"t1\"]\n"},
      {"nobody answered", {"U a 192.0.2.1 4000 ft"}, ""},
      {"deleted", {"U a 192.0.2.1 4000 ft", "L a 192.0.2.2 4000 ft tt", "D a ft tt"}, ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    World world({}, true);
    for (const std::string& command : c.commands) {
      CHECK_FALSE(world.relay.ask(command).starts_with("E"));
    }
    world.relay.wait_s(20);
    CHECK(world.relay.sessions.active() == 0);
    CHECK(world.told() == c.told);
  }
}

TEST_CASE("a call goes on while one of its media does") {
  World world({}, true);
  world.relay.ask("U a 192.0.2.1 4000 ft;1");
  world.relay.ask("U a 192.0.2.1 4002 ft;2");
  world.relay.ask("L a 192.0.2.2 4000 ft;1 tt;1");
  world.relay.ask("L a 192.0.2.2 4002 ft;2 tt;2");
  world.relay.wait_s(3);
  world.relay.ask("U a 192.0.2.1 4000 ft;1 tt;1");
  world.relay.wait_s(3);
  CHECK(world.relay.sessions.active() == 1);
  CHECK(world.told().empty());
  world.relay.wait_s(4);
  CHECK(world.relay.sessions.active() == 0);
  CHECK(world.told() == "[\"a\",\"ft\",\"tt\"]\n");
}

TEST_CASE("a call that is to be hung up is reported at once, whatever else goes on") {
  for (const bool to_lines : {false, true}) {
    CAPTURE(to_lines);
    World world({}, !to_lines);
    const std::string notify = to_lines ? " " + world.lines_path + " tag" : "";
    world.relay.ask("U a 192.0.2.1 4000 ft;1" + notify);
    world.relay.ask("U a 192.0.2.1 4002 ft;2");
    world.relay.ask("L a 192.0.2.2 4000 ft;1 tt;1");
    world.relay.ask("L a 192.0.2.2 4002 ft;2 tt;2");
    world.reporter.hang_up(*world.relay.sessions.find("a", "ft;1", std::nullopt)->session);
    CHECK(world.relay.sessions.active() == 2);
    CHECK(world.told() == (to_lines ? "tag\n" : "[\"a\",\"ft\",\"tt\"]\n"));
  }
}

TEST_CASE("a target that U names and --notify-all names is told once") {
  SUBCASE("JSON-RPC") {
    World world({}, true);
    world.relay.ask("U a 192.0.2.1 4000 ft;1 jsonrpc:unix:" + world.rpc_path + " x");
    world.relay.ask("L a 192.0.2.2 4000 ft;1 tt;1");
    world.relay.wait_s(7);
    CHECK(world.told() == "[\"a\",\"ft\",\"tt\"]\n");
  }
  SUBCASE("lines beside JSON-RPC") {
    World world({}, true);
    world.relay.ask("U a 192.0.2.1 4000 ft;1 unix:" + world.lines_path + " x");
    world.relay.ask("L a 192.0.2.2 4000 ft;1 tt;1");
    world.relay.wait_s(7);
    CHECK(world.told() == "x\n[\"a\",\"ft\",\"tt\"]\n");
  }
  SUBCASE("JSON-RPC named, nothing for all") {
    World world({}, false);
    world.relay.ask("U a 192.0.2.1 4000 ft;1 jsonrpc:unix:" + world.rpc_path + " x");
    world.relay.ask("L a 192.0.2.2 4000 ft;1 tt;1");
    world.relay.wait_s(7);
    CHECK(world.told() == "[\"a\",\"ft\",\"tt\"]\n");
  }
  SUBCASE("lines for all: the call-id, once, answered or not") {
    World world({}, false, true);
    world.relay.ask("U a 192.0.2.1 4000 ft;1");
    world.relay.ask("U a 192.0.2.1 4002 ft;2");
    world.relay.wait_s(7);
    CHECK(world.told() == "a\n");
  }
}

TEST_CASE("features depend on -n") {
  RelayFixture without;
  CHECK(without.ask("VF 20081224") == "0");
  CHECK(without.ask("VF 20150617") == "1");
  World world({}, false);
  CHECK(world.relay.ask("VF 20081224") == "1");
  CHECK(world.relay.ask("VF 20150617") == "1");
}

}  // namespace relay
