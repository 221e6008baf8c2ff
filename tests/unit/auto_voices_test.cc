// [[voice.auto]]: which calls get a voice without a command of its own, and what R brings about.
#include "relay/control/auto_voices.h"

#include <doctest/doctest.h>

#include "relay/control/voice_calls.h"
#include "tests/support/fake_voice_engine.h"
#include "tests/support/relay_fixture.h"
#include "tests/support/temporary_directory.h"

namespace relay {
namespace {

VoiceRule rule(const std::string& profile, VoiceOccasion on = VoiceOccasion::answer) {
  VoiceRule rule;
  rule.profile = profile;
  rule.on = on;
  if (on != VoiceOccasion::answer) rule.policy = VoicePolicy::tee;
  return rule;
}

VoiceRule for_call(const std::string& glob) {
  VoiceRule made = rule("bot");
  made.call_id = glob;
  return made;
}

VoiceRule from(const std::string& caller, const std::string& callee = "") {
  VoiceRule made = rule("bot");
  if (!caller.empty()) made.caller = {*AddressRange::parse(caller)};
  if (!callee.empty()) made.callee = {*AddressRange::parse(callee)};
  return made;
}

struct Fixture {
  explicit Fixture(VoiceRules rules, VoiceProfileConfig config = {}, Recorder* recorder = nullptr,
                   const Config& relay_config = sequential_config())
      : relay(relay_config, recorder) {
    log_set_level(LogLevel::critical);
    relay.dispatcher.set_voices(calls);
    calls.set_profiles({{"bot", voice_profile("bot", config)}, {"ear", voice_profile("ear")}});
    calls.set_rules(std::move(rules));
    calls.on_consequence({{}, [this](const Session&) { ++hang_ups; }});
  }
  ~Fixture() { log_set_level(LogLevel::warning); }
  void answer(const std::string& call_id = "c1", const std::string& codecs = "c8,0,101",
              const std::string& tag = "ft") {
    CHECK(relay.ask("U" + codecs + " " + call_id + " 192.0.2.1 4000 " + tag).starts_with("30"));
    CHECK(engine.started.empty());
    CHECK(relay.ask("L" + codecs + " " + call_id + " 198.51.100.2 5000 " + tag + " tt")
              .starts_with("30"));
  }
  Session& session() { return *relay.sessions.find("c1", "ft", std::nullopt)->session; }
  size_t taps(LegId leg) { return session().leg(leg).taps.size(); }
  std::vector<std::string> started() {
    std::vector<std::string> names;
    for (const VoiceStart& start : engine.started) names.push_back(start.profile->name);
    return names;
  }
  void end_as_busy(VoiceId id) {
    VoiceEvent event;
    event.kind = VoiceEventKind::call_error;
    event.error = VoiceError::busy;
    event.fatal = true;
    calls.on_report({id, relay.clock.now(), event, std::nullopt});
    event.kind = VoiceEventKind::ended;
    event.outcome = VoiceOutcome::failed;
    calls.on_report({id, relay.clock.now(), event, std::nullopt});
    relay.sessions.expire();
  }

  FakeVoiceEngine engine;
  RelayFixture relay;
  VoiceCalls calls{relay.sessions, engine, PayloadTypes{}, relay.clock};
  int hang_ups = 0;
};

using Names = std::vector<std::string>;

TEST_CASE("a call that is answered gets the voice of the first rule that fits") {
  struct Case {
    std::string description;
    VoiceRules rules;
    Names started;
  };
  const std::vector<Case> cases = {
      {"no rules", {}, {}},
      {"any call", {rule("bot")}, {"bot"}},
      {"the first of two", {rule("bot"), rule("ear")}, {"bot"}},
      {"a call-id", {for_call("c?"), rule("ear")}, {"bot"}},
      {"a call-id that does not fit", {for_call("x*"), rule("ear")}, {"ear"}},
      {"the caller's network", {from("192.0.2.0/24")}, {"bot"}},
      {"another network", {from("192.0.2.2/31")}, {}},
      {"the callee's network", {from("", "198.51.100.0/25")}, {"bot"}},
      {"both, of which one does not fit", {from("192.0.2.0/24", "192.0.2.0/24")}, {}},
      {"another family", {from("::/0")}, {}},
      {"a rule of R", {rule("bot", VoiceOccasion::record)}, {}},
      {"a profile that has gone", {rule("no-such")}, {}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    Fixture f(c.rules);
    f.answer();
    CHECK(f.started() == c.started);
    CHECK(f.relay.ask("Lc8,0 c1 198.51.100.2 5000 ft tt") == "30002");  // an answer repeated
    CHECK(f.started() == c.started);
  }
}

Config bridging_config() {
  Config config = sequential_config();
  config.startup.bridging = true;
  config.startup.local_addresses = {{"", *IpAddress::parse("10.0.0.1"), "192.0.2.100"},
                                    {"", *IpAddress::parse("203.0.113.1"), ""},
                                    {"nat", *IpAddress::parse("10.0.0.1"), "192.0.2.101"}};
  return config;
}

// Of what bridging_config() has.
VoiceRule on_listeners(const std::vector<size_t>& caller, const std::vector<size_t>& callee) {
  const auto listeners = [](const std::vector<size_t>& entries) {
    std::vector<VoiceRuleListener> made;
    for (const size_t entry : entries) {
      made.push_back({"", "", {bridging_config().startup.local_addresses[entry]}});
    }
    return made;
  };
  VoiceRule made = rule("bot");
  made.caller_listeners = listeners(caller);
  made.callee_listeners = listeners(callee);
  return made;
}

TEST_CASE("rules match the addresses where the parties' media come in") {
  struct Case {
    std::string description;
    std::string modifiers;  // of U
    VoiceRule rule;
    bool fits;
  };
  const Case cases[] = {
      {"the caller outside", "Uei", on_listeners({1}, {}), true},
      {"the caller inside", "Uie", on_listeners({1}, {}), false},
      {"the callee inside", "Uei", on_listeners({}, {0}), true},
      {"the callee outside", "Uie", on_listeners({}, {0}), false},
      {"both", "Uei", on_listeners({1}, {0}), true},
      {"both, of which one does not fit", "Uee", on_listeners({1}, {0}), false},
      {"one of two", "Uei", on_listeners({0, 1}, {}), true},
      {"the same address, shown in another way", "Uie", on_listeners({2}, {}), false},
      {"no modifier: inside", "U", on_listeners({0}, {0}), true},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    Fixture f({c.rule}, {}, nullptr, bridging_config());
    CHECK(f.relay.ask(c.modifiers + " c1 192.0.2.1 4000 ft").starts_with("30"));
    CHECK(f.relay.ask("L c1 198.51.100.2 5000 ft tt").starts_with("30"));
    CHECK(f.started().size() == (c.fits ? 1U : 0U));
  }
}

TEST_CASE("rules match the TOS that commands give, up to the answer") {
  struct Case {
    std::string description, offer, answer;
    bool fits;
  };
  const Case cases[] = {
      {"with the offer", " && S tos=104", "", true},
      {"the other side, with the offer", " && Sr tos=104", "", true},
      {"with the answer", "", " && S tos=104", true},
      {"another one", " && S tos=184", "", false},
      {"two, of which one fits", " && S tos=184", " && S tos=104", true},
      {"overwritten", " && S tos=104", " && Sr tos=184", false},
      {"none: what the relay gives on its own is no sign", "", "", false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    VoiceRule made = rule("bot");
    made.tos = 104;
    Config config = sequential_config();
    config.startup.tos = 104;
    Fixture f({made}, {}, nullptr, config);
    CHECK(f.relay.ask("U c1 192.0.2.1 4000 ft" + c.offer).starts_with("30"));
    CHECK(f.relay.ask("L c1 198.51.100.2 5000 ft tt" + c.answer).starts_with("30"));
    CHECK(f.started().size() == (c.fits ? 1U : 0U));
  }
}

TEST_CASE("an answer among the sub-commands is one, a call that they end gets no voice") {
  Fixture at_once({rule("bot")});
  CHECK(at_once.relay.ask("U c1 192.0.2.1 4000 ft tt && L 198.51.100.2 5000").starts_with("30"));
  CHECK(at_once.started() == Names{"bot"});
  Fixture ended({rule("bot")});
  CHECK(ended.relay.ask("U c1 192.0.2.1 4000 ft").starts_with("30"));
  CHECK(ended.relay.ask("L c1 198.51.100.2 5000 ft tt && D") == "30002");
  CHECK(ended.relay.ask("Q c1 ft tt").starts_with("E"));
  CHECK(ended.started().empty());
}

TEST_CASE("a call whose first branch was rejected gets its voice when another one answers") {
  Fixture f({from("", "203.0.113.0/24"), rule("ear")});
  f.answer();  // early media
  CHECK(f.started() == Names{"ear"});
  CHECK(f.relay.ask("D c1 ft tt") == "0");
  CHECK(f.relay.ask("U c1 192.0.2.1 4000 ft").starts_with("30"));
  CHECK(f.started() == Names{"ear"});
  CHECK(f.relay.ask("L c1 203.0.113.2 5000 ft t2").starts_with("30"));
  CHECK(f.started() == Names{"ear", "bot"});
}

TEST_CASE("a rule says whom the endpoint is for, and how") {
  VoiceRule to_callee = rule("bot");
  to_callee.is_callee = true;
  to_callee.policy = VoicePolicy::whisper;
  Fixture f({to_callee});
  f.answer();
  REQUIRE(f.calls.of_leg(f.session(), LegId::callee) != nullptr);
  CHECK(f.calls.of_leg(f.session(), LegId::callee)->policy == VoicePolicy::whisper);
  CHECK(f.calls.of_leg(f.session(), LegId::caller) == nullptr);
}

TEST_CASE("media that nobody speaks here get no voice") {
  Fixture video({rule("bot")});
  video.answer("c1", "c96,97");
  CHECK(video.started().empty());
  Fixture second({rule("bot")});
  second.answer("c1", "", "ft;2");
  CHECK(second.started().empty());
  Fixture first({rule("bot")});
  first.answer("c1", "", "ft;1");
  CHECK(first.started() == Names{"bot"});
}

TEST_CASE("a limit that refuses a voice nobody asked for leaves the call alone") {
  VoiceProfileConfig config;
  config.on_fail = VoiceFailPolicy::hangup_event;
  Fixture f({rule("bot")}, config);
  f.answer();
  f.end_as_busy(1);
  CHECK(f.hang_ups == 0);
  CHECK(f.session().leg(LegId::caller).source == nullptr);
  CHECK(f.taps(LegId::caller) == 0);
  // One that a command has asked for has its consequences.
  CHECK(f.relay.ask("P-1 c1 ai:bot session ft") == "0");
  f.end_as_busy(2);
  CHECK(f.hang_ups == 1);
}

TEST_CASE("new rules are for new calls") {
  Fixture f({rule("bot")});
  f.answer();
  f.calls.set_rules({});
  CHECK(f.relay.ask("Lc8,0 c1 198.51.100.2 5000 ft tt") == "30002");
  CHECK(f.calls.of_leg(f.session(), LegId::caller) != nullptr);
  CHECK(f.engine.stopped.empty());
}

TEST_CASE("R has an endpoint listen, too or instead") {
  struct Case {
    std::string description;
    VoiceOccasion on;
    bool stereo, with_recorder;
    std::string reply;
    size_t caller_taps, callee_taps;
    bool listens = true;
  };
  using On = VoiceOccasion;
  const std::vector<Case> cases = {
      {"too", On::record, false, true, "0", 2, 0},
      {"too, in stereo", On::record, true, true, "0", 2, 1},
      {"instead", On::instead_of_record, false, true, "0", 1, 0},
      {"instead, in stereo, without -r", On::instead_of_record, true, false, "0", 1, 1},
      {"too, without -r", On::record, false, false, "0", 1, 0},
      {"no rule of R", On::answer, false, true, "0", 1, 0, false},
      {"neither", On::answer, false, false, "E50", 0, 0, false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    const TemporaryDirectory directory;
    RecorderSettings settings;
    settings.directory = directory.file("");
    auto recorder = Recorder::start(settings);
    REQUIRE(recorder);
    VoiceRule made = rule("ear", c.on);
    made.stereo = c.stereo;
    if (c.on == On::answer) made.call_id = "another";
    Fixture f({made}, {}, c.with_recorder ? recorder->get() : nullptr);
    f.answer();
    CHECK(f.relay.ask("R c1 ft tt") == c.reply);
    CHECK(f.relay.ask("R c1 ft tt") == c.reply);
    CHECK(f.taps(LegId::caller) == c.caller_taps);
    CHECK(f.taps(LegId::callee) == c.callee_taps);
    CHECK(f.started() == (c.listens ? Names{"ear"} : Names{}));
    if (c.reply != "0") continue;
    CHECK(f.relay.ask("N c1 ft tt") == "0");
    f.relay.sessions.expire();
    CHECK(f.taps(LegId::caller) + f.taps(LegId::callee) == 0);
  }
}

}  // namespace
}  // namespace relay
