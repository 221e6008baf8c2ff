// P and S: what they answer and what they attach.
#include <doctest/doctest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/prompt_support.h"
#include "tests/support/relay_fixture.h"
#include "tests/support/temporary_directory.h"

namespace relay {
namespace {

using namespace std::chrono_literals;

// One call; the caller's codecs are 3, 8 and 101, the callee's 18.
struct PlayFixture {
  TemporaryDirectory directory;
  RelayFixture relay;
  Session* session = nullptr;

  PlayFixture() : relay(config(directory)) {
    write("hello.8", 1600);
    write("hello.18", 40);
    write("hello.13", 1600);
    write("gsm.3", 66);
    write("short.8", 79);
    CHECK(relay.ask("Uc3,8,101 c 192.0.2.1 4000 ft;1") == "30000");
    CHECK(relay.ask("Lc18z25 c 192.0.2.2 5000 ft;1 tt;1") == "30002");
    session = relay.sessions.find("c", "ft;1", std::nullopt)->session;
  }
  static Config config(const TemporaryDirectory& directory) {
    Config config = sequential_config();
    config.startup.prompt_directories = {directory.file("")};
    return config;
  }
  void write(const std::string& name, size_t bytes) {
    directory.write(name, std::string(bytes, 'x'));
  }
  const Prompt* heard_by(LegId leg) { return prompt_of(*session, leg); }
  // As the worker would.
  void play(LegId leg, testing::Listener& listener, int packets) {
    Source& source = *session->leg(leg).source;
    source.start(RtpStreamState{}, shift, relay.clock.now());
    for (int i = 0; i < packets; ++i) {
      const Instant next = source.play(relay.clock.now(), listener);
      if (next == Instant::max()) return;
      relay.clock.set(next);
    }
  }
  SequenceShift shift;
};

TEST_CASE("P answers as rtpproxy does, and the party named first hears") {
  struct Case {
    std::string description, command, reply;
    std::optional<LegId> listener;
    int payload_type = -1;
    uint16_t packet_ms = 10;
    int count = 1;
  };
  constexpr LegId kCaller = LegId::caller, kCallee = LegId::callee;
  const std::vector<Case> cases = {
      {"one that exists", "P c hello 8 ft;1", "0", kCaller, 8},
      {"the caller with both tags", "P c hello 8 ft;1 tt;1", "0", kCaller, 8},
      {"the callee", "P c hello 8 tt;1 ft;1", "0", kCallee, 8},
      {"as often as asked", "P17 c hello 8 ft;1", "0", kCaller, 8, 10, 17},
      {"without end", "P-1 c hello 8 ft;1", "0", kCaller, 8, 10, -1},
      {"any negative number", "P-20 c hello 8 ft;1", "0", kCaller, 8, 10, -20},
      {"the first type that exists", "P c hello 0,18,8 ft;1", "0", kCaller, 18},
      {"G.729 raised to its frame", "P c hello 18 ft;1", "0", kCaller, 18, 10},
      {"session: the listener's types, the other party's z", "P c hello session ft;1 tt;1", "0",
       kCaller, 8, 25},
      {"session: whole frames of GSM", "P c gsm session ft;1 tt;1", "0", kCaller, 3, 40},
      {"session: of the callee", "P c hello session tt;1 ft;1", "0", kCallee, 18, 10},
      {"an explicit list does not heed z", "P c hello 8 ft;1 tt;1", "0", kCaller, 8, 10},
      {"an unsupported type with a file is passed over", "P c hello 13,8 ft;1", "0", kCaller, 8},
      {"too large for a payload type", "P c hello 1000,99999999999,8 ft;1", "0", kCaller, 8},
      {"what is no number ends the list", "P c hello 0,x,8 ft;1", "E60", {}},
      {"an empty place in the list", "P c hello ,8 ft;1", "E60", {}},
      {"an unsupported type alone, with a file", "P c hello 13 ft;1", "E60", {}},
      {"no file", "P c other 8,0 ft;1", "E60", {}},
      {"outside the directory", "P c ../../etc/hostname 8 ft;1", "E60", {}},
      {"absolute, outside", "P c /etc/hostname 8 ft;1", "E60", {}},
      {"no whole packet in it", "P c short 8 ft;1", "E60", {}},
      {"a voice that is not configured", "P-1 c ai:nobody session ft;1 tt;1", "E60", {}},
      {"no session", "P d hello 8 ft;1", "E50", {}},
      {"another tag", "P c hello 8 other", "E50", {}},
      {"a count that is no number comes before the session", "Px d hello 8 ft;1", "E17", {}},
      {"count 0 only stops", "P0 c hello 8 ft;1", "0", {}},
      {"count 0 without a session", "P0 d hello 8 ft;1", "E50", {}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    PlayFixture test;
    CHECK(test.relay.ask(c.command) == c.reply);
    for (const LegId leg : kLegs) {
      const Prompt* prompt = test.heard_by(leg);
      CHECK((prompt != nullptr) == (c.listener == leg));
      if (prompt == nullptr) continue;
      CHECK(traits_of(prompt->audio().codec).payload_type == c.payload_type);
      CHECK(prompt->packet_ms() == c.packet_ms);
      CHECK(prompt->progress().times_left == c.count);
    }
  }
}

TEST_CASE("session without a stored list is E35") {
  RelayFixture relay(PlayFixture::config(TemporaryDirectory()));
  CHECK(relay.ask("U c 192.0.2.1 4000 ft") == "30000");
  CHECK(relay.ask("P c hello session ft") == "E35");
}

TEST_CASE("without a directory every prompt is E60") {
  RelayFixture relay;
  CHECK(relay.ask("Uc8 c 192.0.2.1 4000 ft") == "30000");
  CHECK(relay.ask("P c /etc/hostname session ft") == "E60");
}

TEST_CASE("a prompt is stopped by S, by the next P, and by its end") {
  struct Case {
    std::string description;
    std::vector<std::string> commands;
    bool plays;  // in the end
    uint64_t created, destroyed;
  };
  const std::vector<Case> cases = {
      {"nothing", {}, false, 0, 0},
      {"S", {"P c hello 8 ft;1", "S c ft;1"}, false, 1, 1},
      {"S with both tags", {"P c hello 8 ft;1", "S c ft;1 tt;1"}, false, 1, 1},
      {"S of the other party", {"P c hello 8 ft;1", "S c tt;1 ft;1"}, true, 1, 0},
      {"count 0", {"P c hello 8 ft;1", "P0 c hello 8 ft;1"}, false, 1, 1},
      {"a second prompt", {"P c hello 8 ft;1", "P c hello 18 ft;1"}, true, 2, 1},
      {"a second prompt that fails", {"P c hello 8 ft;1", "P c other 8 ft;1"}, false, 1, 1},
      {"to both", {"P c hello 8 ft;1", "P c hello 8 tt;1 ft;1"}, true, 2, 0},
      {"the session ends", {"P c hello 8 ft;1", "D c ft;1 tt;1"}, false, 1, 1},
      {"all end", {"P c hello 8 ft;1", "X"}, false, 1, 1},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    PlayFixture test;
    for (const std::string& command : c.commands) {
      const std::string reply = test.relay.ask(command);
      CHECK(reply == (command.find("other") == std::string::npos ? "0" : "E60"));
    }
    CHECK(test.relay.ask("G nplrs_created nplrs_destroyed") ==
          std::to_string(c.created) + " " + std::to_string(c.destroyed));
    if (test.relay.sessions.active() > 0) {
      CHECK((test.heard_by(LegId::caller) != nullptr) == c.plays);
      CHECK(test.relay.ask("S c ft;1") == "0");
      CHECK(test.relay.ask("S c ft;1") == "0");
    } else {
      CHECK(test.relay.ask("S c ft;1") == "E50");
    }
  }
}

TEST_CASE("a prompt that has ended is taken off") {
  PlayFixture test;
  testing::Listener listener;
  CHECK(test.relay.ask("P2 c hello 8 ft;1") == "0");
  test.play(LegId::caller, listener, 1000);
  CHECK(listener.rtp.size() == 40);
  test.relay.wait_s(1);
  CHECK(test.heard_by(LegId::caller) == nullptr);
  CHECK(test.relay.ask("G nplrs_destroyed") == "1");
}

TEST_CASE("J tells what a party hears") {
  PlayFixture test;
  testing::Listener listener;
  using nlohmann::json;
  const auto caller = [&] {
    return json::parse(test.relay.ask("J session c"))["sessions"][0]["caller"]["prompt"];
  };
  CHECK(caller().is_null());
  CHECK(test.relay.ask("P3 c hello 8 ft;1") == "0");
  test.play(LegId::caller, listener, 23);
  const json expected = {{"name", "hello"}, {"codec", "PCMA"}, {"payload_type", 8},
                         {"packet_ms", 10}, {"packets", 23},   {"position_s", 0.03},
                         {"times_left", 2}};
  CHECK(caller() == expected);
  CHECK(test.relay.ask("P-1 c hello 8 ft;1") == "0");
  CHECK(caller()["times_left"].is_null());
  const json stats = json::parse(test.relay.ask("J stats"));
  CHECK(stats["prompts"] == json({{"created", 2}, {"destroyed", 1}}));
}

TEST_CASE("what a prompt sends keeps the session, but not for ever") {
  struct Case {
    std::string description;
    bool plays;
    int prompt_ttl_s;
    bool listener_heard;  // its RTCP, all the time
    int ends_after_s;     // 0: not within three hours
    bool independent = false;
  };
  const std::vector<Case> cases = {
      {"no prompt", false, 600, false, 60},
      {"a prompt, nobody sends anything", true, 600, false, 660},
      {"with no bound", true, 0, false, 0},
      {"somebody hears it, and reports", true, 600, true, 0},
      {"a time-out a direction", true, 600, false, 60, true},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    TemporaryDirectory directory;
    Config config = PlayFixture::config(directory);
    directory.write("hello.8", std::string(800, 'x'));
    config.runtime.prompt_ttl = std::chrono::seconds(c.prompt_ttl_s);
    config.runtime.independent_ttl = c.independent;
    RelayFixture relay(config);
    relay.ask("Uc8 c 192.0.2.1 4000 ft");
    relay.ask("Lc8 c 192.0.2.2 5000 ft tt");
    FlowGroup& flows = *relay.sessions.find("c", "ft", std::nullopt)->session->flows;
    if (c.plays) CHECK(relay.ask("P-1 c hello session ft tt") == "0");
    int seconds = 0;
    while (seconds < 3 * 3600 && relay.sessions.active() == 1) {
      const int64_t now = to_ns(relay.clock.now());
      // As the worker would note it.
      if (c.plays) flows.stats_of(LegId::caller, Component::rtp).last_played_ns = now;
      if (c.listener_heard) flows.stats_of(LegId::caller, Component::rtcp).last_accepted_ns = now;
      relay.wait_s(1);
      ++seconds;
    }
    CHECK(seconds >= (c.ends_after_s == 0 ? 3 * 3600 : c.ends_after_s));
    if (c.ends_after_s != 0) CHECK(seconds <= c.ends_after_s + 1);
  }
}

TEST_CASE("a file that the operator names may lie outside of the prompt directories") {
  const TemporaryDirectory elsewhere;
  elsewhere.write("sorry.8", std::string(160, 'x'));
  elsewhere.write("empty.8", "");
  PlayFixture f;
  Prompts& prompts = f.relay.dispatcher.context().prompts;
  CHECK(prompts.check(elsewhere.file("sorry")));
  CHECK(prompts.check("hello"));
  for (const std::string& name : {elsewhere.file("gone"), elsewhere.file("empty"),
                                  std::string("gone"), std::string("../hello")}) {
    CAPTURE(name);
    const auto checked = prompts.check(name);
    REQUIRE_FALSE(checked);
    CHECK(checked.error().message.find(name.substr(0, name.find('.'))) != std::string::npos);
  }
  // A command may not.
  CHECK(f.relay.ask("P c " + elsewhere.file("sorry") + " 8 ft;1") == "E60");
  CHECK(f.heard_by(LegId::caller) == nullptr);
}

}  // namespace
}  // namespace relay
