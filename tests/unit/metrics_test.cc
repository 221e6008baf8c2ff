// /metrics: AI voices, and what was told about calls.
#include "relay/control/metrics.h"

#include <doctest/doctest.h>

#include <cmath>
#include <sstream>

#include "relay/control/voice_calls.h"
#include "tests/support/fake_voice_engine.h"
#include "tests/support/relay_fixture.h"

namespace relay {
namespace {

using namespace std::chrono_literals;

double value_of(const std::string& page, const std::string& series) {
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(series + " ")) return std::stod(line.substr(series.size()));
  }
  return std::nan("");
}

TEST_CASE("the metrics of a voice profile") {
  FakeVoiceEngine engine;
  RelayFixture relay;
  VoiceCalls calls(relay.sessions, engine, PayloadTypes{}, relay.clock);
  relay.dispatcher.set_voices(calls);
  calls.set_profiles({{"bot", voice_profile("bot")}, {"ear", voice_profile("ear")}});
  const auto page = [&] { return prometheus_text(relay.dispatcher.context(), {}); };
  CHECK(relay.ask("Uc8 c1 192.0.2.1 4000 ft") == "30000");
  CHECK(relay.ask("P-1 c1 ai:bot session ft") == "0");
  calls.running().at(1).path->heard_dropped.add(3);
  engine.counters.frames_up.add(50);
  for (const Duration delay : {1us, 1000us, 1100us, 700000us, 60000000us}) {
    engine.measures.turn.add(delay);
  }
  std::string text = page();
  CHECK(value_of(text, "rtpp_voice_sessions{profile=\"bot\"}") == 1);
  CHECK(value_of(text, "rtpp_voice_sessions{profile=\"ear\"}") == 0);
  CHECK(value_of(text, "rtpp_voice_frames_up_total{profile=\"bot\"}") == 50);
  CHECK(value_of(text, "rtpp_voice_heard_dropped_total{profile=\"bot\"}") == 3);
  const auto turns = [&](const std::string& bound) {
    return value_of(text, "rtpp_voice_turn_seconds_bucket{profile=\"bot\",le=\"" + bound + "\"}");
  };
  CHECK(turns("0.001024") == 2);
  CHECK(turns("0.002048") == 3);
  CHECK(turns("0.524288") == 3);
  CHECK(turns("1.048576") == 4);
  CHECK(turns("8.388608") == 4);
  CHECK(turns("+Inf") == 5);
  CHECK(value_of(text, "rtpp_voice_turn_seconds_count{profile=\"bot\"}") == 5);
  CHECK(value_of(text, "rtpp_voice_turn_seconds_sum{profile=\"bot\"}") ==
        doctest::Approx(60.702101));
  CHECK(value_of(text, "rtpp_voice_up_seconds_count{profile=\"ear\"}") == 0);

  VoiceEvent event;
  event.kind = VoiceEventKind::call_error;
  event.error = VoiceError::unreachable;
  event.fatal = true;
  calls.on_report({1, relay.clock.now(), event, std::nullopt});
  event.kind = VoiceEventKind::ended;
  event.outcome = VoiceOutcome::failed;
  calls.on_report({1, relay.clock.now(), event, std::nullopt});
  text = page();
  CHECK(value_of(text, "rtpp_voice_sessions{profile=\"bot\"}") == 0);
  CHECK(value_of(text, "rtpp_voice_failures_total{profile=\"bot\",reason=\"unreachable\"}") == 1);
  CHECK(value_of(text, "rtpp_voice_failures_total{profile=\"bot\",reason=\"busy\"}") == 0);
  CHECK(value_of(text, "rtpp_voice_heard_dropped_total{profile=\"bot\"}") == 3);
  CHECK(relay.ask("J voices").find("\"heard_dropped\":3") != std::string::npos);
}

TEST_CASE("what was told about calls is among the metrics where there is such a part") {
  RelayFixture relay;
  CHECK(std::isnan(value_of(prometheus_text(relay.dispatcher.context(), {}),
                            "rtpp_acct_records_written_total")));
  AcctCounters counters;
  counters.records_written.add(4);
  relay.dispatcher.show(counters);
  auto events = DtmfEvents::create();
  REQUIRE(events);
  relay.dispatcher.offer_dtmf(**events);
  const std::string text = prometheus_text(relay.dispatcher.context(), {});
  CHECK(value_of(text, "rtpp_acct_records_written_total") == 4);
  CHECK(value_of(text, "rtpp_dtmf_events_lost_total") == 0);
}

}  // namespace
}  // namespace relay
