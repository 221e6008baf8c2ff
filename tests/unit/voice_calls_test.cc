#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "relay/control/voice_calls.h"
#include "relay/voice/voice_source.h"
#include "tests/support/fake_voice_engine.h"
#include "tests/support/prompt_support.h"
#include "tests/support/relay_fixture.h"
#include "tests/support/temporary_directory.h"

namespace relay {
namespace {

struct Fixture {
  Fixture() {
    directory.write("sorry.8", std::string(1600, 'x'));
    add("bot", {});
    calls.on_consequence({[this](Session& session, LegId leg, const Prompts::Wanted& wanted) {
                            return relay.dispatcher.context().prompts.play(session, leg, wanted);
                          },
                          [this](const Session& session) { hung_up = session.call_id; }});
    calls.on_notice([this](const VoiceNotice& notice) {
      noticed.emplace_back(to_string(notice.report.event->kind));
    });
    CHECK(relay.ask("Uc8,0,101 c1 192.0.2.1 4000 ft") == "30000");
    CHECK(relay.ask("Lc0 c1 192.0.2.2 5000 ft tt") == "30002");
  }
  void add(const std::string& name, VoiceProfileConfig config) {
    auto profiles = calls.profiles();
    profiles[name] = voice_profile(name, std::move(config));
    calls.set_profiles(std::move(profiles));
  }
  Session& session() { return *relay.sessions.find("c1", "ft", std::nullopt)->session; }
  VoiceId start(const VoiceRequest& request) {
    const auto started = calls.start(session(), LegId::caller, request);
    REQUIRE(started);
    return *started;
  }
  void report(VoiceId id, VoiceEventKind kind, VoiceOutcome outcome = VoiceOutcome::finished) {
    VoiceEvent event;
    event.kind = kind;
    event.outcome = outcome;
    calls.on_report({id, relay.clock.now(), event, std::nullopt});
    relay.sessions.expire();
  }
  bool speaks(LegId leg) {
    return dynamic_cast<const VoiceSource*>(session().leg(leg).source.get()) != nullptr;
  }
  std::string prompt(LegId leg) {
    const Prompt* prompt = prompt_of(session(), leg);
    return prompt == nullptr ? "" : prompt->prompt_name().substr(directory.file("").size());
  }
  size_t taps(LegId leg) { return session().leg(leg).taps.size(); }

  FakeVoiceEngine engine;  // outlives the sessions
  RelayFixture relay;
  VoiceCalls calls{relay.sessions, engine, PayloadTypes{}, relay.clock};
  TemporaryDirectory directory;
  std::string hung_up;  // call-id
  std::vector<std::string> noticed;
};

TEST_CASE("what is attached to whom, by policy") {
  struct Case {
    std::string description;
    VoicePolicy policy;
    bool stereo, caller_hears, callee_hears, callee_is_heard;
  };
  const std::vector<Case> cases = {
      {"replace", VoicePolicy::replace, false, true, false, false},
      {"mute-other", VoicePolicy::mute_other, false, true, false, false},
      {"tee of one party", VoicePolicy::tee, false, false, false, false},
      {"tee of both", VoicePolicy::tee, true, false, false, true},
      {"mix", VoicePolicy::mix, false, true, true, true},
      {"whisper", VoicePolicy::whisper, false, true, false, true},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    Fixture f;
    const VoiceId id = f.start({"bot", {}, c.policy, c.stereo});
    CHECK(f.taps(LegId::caller) == 1);
    CHECK(f.taps(LegId::callee) == (c.callee_is_heard ? 1 : 0));
    CHECK(f.speaks(LegId::caller) == c.caller_hears);
    CHECK(f.speaks(LegId::callee) == c.callee_hears);
    REQUIRE(f.engine.started.size() == 1);
    const VoiceStart& start = f.engine.started[0];
    CHECK(start.call.call_id == "c1");
    CHECK(start.call.session_id.size() == 36);
    CHECK(start.call.leg_encoding == AudioFormat::Encoding::pcma);  // the first the caller named
    CHECK(start.call.listen_only == (c.policy == VoicePolicy::tee));
    CHECK(f.calls.stop(f.session(), LegId::caller));
    f.relay.sessions.expire();
    CHECK(f.engine.stopped == std::vector<VoiceId>{id});
    CHECK(f.taps(LegId::caller) + f.taps(LegId::callee) == 0);
    CHECK_FALSE(f.speaks(LegId::caller));
    CHECK_FALSE(f.speaks(LegId::callee));
  }
}

TEST_CASE("the endpoint is spoken in what the party is known to understand") {
  struct Case {
    std::string description;
    int heard;  // -1: nothing
    std::vector<uint8_t> offered, asked;
    uint8_t spoken;
    AudioCodec codec;
    uint32_t clock_hz;
  };
  const std::vector<Case> cases = {
      {"Opus heard", 111, {}, {}, 111, AudioCodec::opus, 48000},
      {"Opus heard, not the first offered", 111, {8, 111, 101}, {}, 111, AudioCodec::opus, 48000},
      {"Opus offered", -1, {111, 8, 101}, {}, 111, AudioCodec::opus, 48000},
      {"G.722, whose clock is not its rate", 9, {}, {}, 9, AudioCodec::g722, 8000},
      {"L16 by the map", 96, {}, {}, 96, AudioCodec::l16, 16000},
      {"asked for, before anything was heard", -1, {8, 0}, {0}, 0, AudioCodec::pcmu, 8000},
      {"asked for, heard something else", 8, {8, 0}, {0}, 0, AudioCodec::pcmu, 8000},
      {"of those asked for, the one heard", 8, {0, 8}, {0, 8}, 8, AudioCodec::pcma, 8000},
      {"asked for and never offered", 111, {111, 101}, {0}, 111, AudioCodec::opus, 48000},
      {"asked for, meaning nothing", 8, {}, {97}, 8, AudioCodec::pcma, 8000},
      {"key presses say nothing", 101, {8, 101}, {}, 8, AudioCodec::pcma, 8000},
      {"nothing known", -1, {}, {}, 0, AudioCodec::pcmu, 8000},
      {"nothing that is known", 98, {97, 98}, {}, 0, AudioCodec::pcmu, 8000},
  };
  const auto as_bytes = [](const std::vector<uint8_t>& types) {
    return std::string(types.begin(), types.end());
  };
  PayloadTypes types;
  REQUIRE(types.set(96, "L16/16000"));
  for (const Case& c : cases) {
    CAPTURE(c.description);
    PayloadTypes::Known known;
    if (c.heard >= 0) known.heard = static_cast<uint8_t>(c.heard);
    const std::string asked = as_bytes(c.asked), offered = as_bytes(c.offered);
    known.asked = asked;
    known.offered = offered;
    const uint8_t chosen = types.choose(known);
    CHECK(chosen == c.spoken);
    CHECK(types.codec_of(chosen) == c.codec);
    CHECK(types.clock_rate_hz(chosen) == c.clock_hz);
  }
}

TEST_CASE("a party that sends Opus as 111 hears Opus as 111, by a clock of 48 kHz") {
  Fixture f;
  CHECK(f.relay.ask("Uc c2 192.0.2.1 4000 ft") != "E");
  CHECK(f.relay.ask("L c2 192.0.2.2 5000 ft tt") != "E");
  Session& session = *f.relay.sessions.find("c2", "ft", std::nullopt)->session;
  const Endpoint phone_at{*IpAddress::parse("192.0.2.1"), 4000};
  const auto packet = testing::rtp_packet({.payload_type = 111});
  f.relay.plane.deliver(*session.flows, {LegId::caller, Component::rtp, phone_at, packet});
  REQUIRE(f.calls.start(session, LegId::caller, {"bot", {}, {}, false}));
  const VoiceDialogueSettings& media = f.engine.started.back().media;
  CHECK(media.near.playout.codec == AudioCodec::opus);
  CHECK(media.near.playout.rate_hz == 16000);
  // As the voice thread and the worker would: three frames of the endpoint's.
  auto playout = Playout::make(media.near.playout, media.near.path);
  REQUIRE(playout);
  playout->play_samples(std::vector<int16_t>(960, 3000), 16000);
  playout->pump(f.relay.clock.now(), [](MarkId, MarkFate) {});
  auto& source = *session.leg(LegId::caller).source;
  SequenceShift shift;
  source.start(RtpStreamState{}, shift, f.relay.clock.now());
  testing::Listener phone;
  for (int i = 0; i < 3; ++i) f.relay.clock.set(source.play(f.relay.clock.now(), phone));
  REQUIRE(phone.rtp.size() == 3);
  auto decoder = make_decoder(AudioCodec::opus);
  REQUIRE(decoder);
  for (size_t i = 0; i < 3; ++i) {
    const RtpView rtp = *RtpView::parse(phone.rtp[i]);
    CHECK(rtp.payload_type() == 111);
    CHECK(rtp.timestamp() - RtpView::parse(phone.rtp[0])->timestamp() == 960 * i);
    std::vector<int16_t> samples(5760);
    CHECK((*decoder)->decode(rtp.payload(), samples) == 960);
  }
}

TEST_CASE("encodings are named as in SDP") {
  struct Case {
    std::string encoding;
    PayloadTypes::Meaning meaning;
    uint32_t clock_hz;
  };
  using Meaning = PayloadTypes::Meaning;
  for (const Case& c : std::vector<Case>{{"opus", Meaning::audio, 48000},
                                         {"OPUS/48000/2", Meaning::audio, 48000},
                                         {"PCMA/8000", Meaning::audio, 8000},
                                         {"L16", Meaning::audio, 8000},
                                         {"l16/16000/1", Meaning::audio, 16000},
                                         {"telephone-event", Meaning::telephone_event, 8000},
                                         {"telephone-event/48000", Meaning::telephone_event, 48000},
                                         {"CN/8000", Meaning::comfort_noise, 8000},
                                         {"none", Meaning::unknown, 8000}}) {
    CAPTURE(c.encoding);
    PayloadTypes types;
    REQUIRE(types.set(120, c.encoding));
    CHECK(types.meaning_of(120) == c.meaning);
    CHECK(types.clock_rate_hz(120) == c.clock_hz);
  }
  for (const std::string encoding : {"", "opus/", "opus/8000", "opus/x", "opus/48000x", "speex",
                                     "L16/44100", "PCMU/16000", "telephone-event/1"}) {
    CAPTURE(encoding);
    PayloadTypes types;
    CHECK_FALSE(types.set(8, encoding));
    CHECK(types.codec_of(8) == AudioCodec::pcma);
  }
  VoiceConfig config;
  config.payload_types = {{111, "speex", "relay.toml:7: voice.payload_types"}};
  const auto made = make_payload_types(config);
  REQUIRE_FALSE(made);
  CHECK(
      made.error().message.starts_with("relay.toml:7: voice.payload_types: \"speex\": expected "
                                       "one of PCMU, PCMA"));
}

TEST_CASE("a profile's barge-in reaches the dialogue") {
  Fixture f;
  VoiceProfileConfig config;
  config.barge_in_after = std::chrono::milliseconds(250);
  f.add("bot", config);
  f.start({"bot", {}, {}, false});
  CHECK(f.engine.started.back().media.barge_in_after == std::chrono::milliseconds(250));
}

TEST_CASE("P names what the endpoint is to be spoken in") {
  Fixture f;
  f.relay.dispatcher.set_voices(f.calls);
  CHECK(f.relay.ask("P-1 c1 ai:bot session ft") == "0");
  CHECK(f.engine.started.back().media.near.playout.codec == AudioCodec::pcma);
  CHECK(f.relay.ask("P-1 c1 ai:bot 18,0,8 ft") == "0");
  CHECK(f.engine.started.back().media.near.playout.codec == AudioCodec::pcmu);
}

TEST_CASE("what the call does when the endpoint has gone") {
  struct Case {
    std::string description;
    VoiceOutcome outcome;
    VoiceEndPolicy on_end;
    VoiceFailPolicy on_fail;
    bool still_speaks = false;
    std::string played = {};
    bool hangs_up = false;
  };
  using End = VoiceEndPolicy;
  using Fail = VoiceFailPolicy;
  using Outcome = VoiceOutcome;
  const std::vector<Case> cases = {
      {"in order: the parties go on", Outcome::finished, End::pass, Fail::silence},
      {"in order: to be hung up", Outcome::finished, End::hangup_event, Fail::pass, false, "",
       true},
      {"failed: the parties go on", Outcome::failed, End::hangup_event, Fail::pass},
      {"failed: silence", Outcome::failed, End::pass, Fail::silence, true},
      {"failed: an announcement", Outcome::failed, End::hangup_event, Fail::play, false, "sorry"},
      {"failed: to be hung up", Outcome::failed, End::pass, Fail::hangup_event, false, "", true},
      {"stopped by us", Outcome::stopped, End::hangup_event, Fail::hangup_event},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    Fixture f;
    VoiceProfileConfig config;
    config.on_end = c.on_end;
    config.on_fail = c.on_fail;
    config.on_fail_file = f.directory.file("sorry");
    f.add("bot", config);
    const VoiceId id = f.start({"bot", {}, {}, false});
    f.report(id, VoiceEventKind::started);
    CHECK(f.calls.running().at(id).is_ready);
    f.report(id, VoiceEventKind::ended, c.outcome);
    CHECK(f.calls.running().empty());
    CHECK(f.speaks(LegId::caller) == c.still_speaks);
    CHECK(f.prompt(LegId::caller) == c.played);
    CHECK(f.prompt(LegId::callee).empty());
    CHECK(f.hung_up == (c.hangs_up ? "c1" : ""));
    // `ended` is the last, whatever follows from it.
    const std::vector<std::string> expected =
        c.hangs_up ? std::vector<std::string>{"started", "hangup", "ended"}
                   : std::vector<std::string>{"started", "ended"};
    CHECK(f.noticed == expected);
    CHECK(f.calls.notices_after(0).size() == expected.size());
    CHECK(f.calls.notices_after(1).size() == expected.size() - 1);
  }
}

TEST_CASE("who listens is told of each notice before anything follows from it") {
  Fixture f;
  std::vector<std::string> told;
  f.calls.on_notice([&](const VoiceNotice& notice) {
    CHECK(notice.session_serial == f.session().serial);
    CHECK(f.calls.running().contains(notice.id));
    CHECK(f.speaks(LegId::caller));
    told.emplace_back(to_string(notice.report.event->kind));
  });
  const VoiceId id = f.start({"bot", {}, {}, false});
  f.report(id, VoiceEventKind::started);
  f.report(id, VoiceEventKind::ended);
  CHECK(told == std::vector<std::string>{"started", "ended"});
}

TEST_CASE("an announcement goes to whoever heard the endpoint, in what they can hear") {
  struct Case {
    std::string description;
    VoicePolicy policy;
    std::string file, caller, callee;
  };
  const std::vector<Case> cases = {
      {"one party", VoicePolicy::whisper, "sorry", "sorry", ""},
      {"both", VoicePolicy::mix, "sorry", "sorry", "sorry"},
      {"nobody", VoicePolicy::tee, "sorry", "", ""},
      {"a file in PCMU alone", VoicePolicy::replace, "mu", "mu", ""},
      {"a file that has gone", VoicePolicy::replace, "gone", "", ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.description);
    log_set_level(LogLevel::critical);
    Fixture f;
    f.directory.write("mu.0", std::string(1600, 'x'));
    VoiceProfileConfig config;
    config.on_fail = VoiceFailPolicy::play;
    config.on_fail_file = f.directory.file(c.file);
    f.add("bot", config);
    const VoiceId id = f.start({"bot", {}, c.policy, false});
    f.report(id, VoiceEventKind::ended, VoiceOutcome::failed);
    CHECK(f.prompt(LegId::caller) == c.caller);
    CHECK(f.prompt(LegId::callee) == c.callee);
    log_set_level(LogLevel::warning);
  }
}

TEST_CASE("the silence of an endpoint that failed ends as its voice would have") {
  VoiceProfileConfig config;
  config.on_fail = VoiceFailPolicy::silence;
  for (const std::string command : {"S c1 ft", "P c1 ai:bot 0 ft", "D c1 ft"}) {
    CAPTURE(command);
    Fixture f;
    f.relay.dispatcher.set_voices(f.calls);
    f.add("bot", config);
    const VoiceId id = f.start({"bot", {}, {}, false});
    f.report(id, VoiceEventKind::ended, VoiceOutcome::failed);
    CHECK(f.speaks(LegId::caller));
    CHECK(f.relay.ask(command) == "0");
    f.relay.sessions.expire();
    if (command[0] == 'D') continue;
    CHECK(f.taps(LegId::caller) == (command[0] == 'P' ? 1 : 0));
    CHECK(f.speaks(LegId::caller) == (command[0] == 'P'));
  }
}

TEST_CASE("an endpoint that fails while it is being stopped has no consequences") {
  Fixture f;
  VoiceProfileConfig config;
  config.on_fail = VoiceFailPolicy::hangup_event;
  f.add("bot", config);
  f.add("other", config);
  const VoiceId first = f.start({"bot", {}, {}, false});
  const VoiceId second = f.start({"other", {}, {}, false});
  CHECK(f.calls.of_leg(f.session(), LegId::caller)->id == second);
  f.report(first, VoiceEventKind::ended, VoiceOutcome::failed);
  CHECK(f.hung_up.empty());
  CHECK(f.calls.stop(f.session(), LegId::caller));
  CHECK_FALSE(f.calls.stop(f.session(), LegId::caller));
}

TEST_CASE("a call that ends takes leave of its endpoint") {
  Fixture f;
  const VoiceId id = f.start({"bot", {}, {}, false});
  CHECK(f.relay.ask("D c1 ft tt") == "0");
  f.relay.wait_s(6);
  CHECK(f.engine.stopped == std::vector<VoiceId>{id});
  f.report(id, VoiceEventKind::ended, VoiceOutcome::stopped);
  CHECK(f.calls.running().empty());
}

TEST_CASE("a second voice on a leg takes the first one's place") {
  Fixture f;
  f.add("other", {});
  const VoiceId first = f.start({"bot", {}, {}, false});
  const VoiceId second = f.start({"other", {}, {}, false});
  f.relay.sessions.expire();
  CHECK(f.engine.stopped == std::vector<VoiceId>{first});
  CHECK(f.taps(LegId::caller) == 1);
  // The late end of the first does not touch the second.
  f.report(first, VoiceEventKind::ended, VoiceOutcome::failed);
  CHECK(f.speaks(LegId::caller));
  CHECK(f.calls.of_leg(f.session(), LegId::caller)->id == second);
}

TEST_CASE("a profile is tried without a call, and takes leave by itself") {
  Fixture f;
  const auto id = f.calls.test("bot");
  REQUIRE(id);
  CHECK(f.engine.started.back().call.call_id.starts_with("voicetest-"));
  for (int i = 0; i < 11; ++i) {
    f.relay.clock.advance(std::chrono::seconds(1));
    f.calls.tick();
  }
  CHECK(f.engine.stopped == std::vector<VoiceId>{*id});
  CHECK_FALSE(f.calls.test("no-such"));
}

TEST_CASE("an unknown profile is refused by name") {
  Fixture f;
  const auto started = f.calls.start(f.session(), LegId::caller, {"no-such", {}, {}, false});
  REQUIRE_FALSE(started);
  CHECK(started.error().message.find("no-such") != std::string::npos);
  CHECK(f.engine.started.empty());
}

}  // namespace
}  // namespace relay
