// One dialogue of a driver with an endpoint that the test plays.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "relay/voice/drivers.h"
#include "relay/voice/profile.h"
#include "tests/support/recording_sink.h"

namespace relay {

using Lines = std::vector<std::string>;
using std::chrono::milliseconds;

inline VoiceCall a_voice_call() {
  VoiceCall call;
  call.call_id = "call-1@192.0.2.1";
  call.caller = "+15550100";
  call.callee = "600";
  call.session_id = "75a6126e-427f-49a1-a2c1-621143cb9db3";
  return call;
}

struct VoiceDialogue {
  VoiceDialogue(MakeVoiceDriver* make, VoiceProfile profile, const VoiceCall& call) {
    if (profile.url.empty()) profile.url = "wss://bot.example.net/stream";
    driver = make(profile, call, sink, counters);
  }
  // What the driver does about one message.
  Lines hear(std::string_view message) {
    driver->text(message, now);
    return sink.take();
  }
  Lines hear(Octets message) {
    driver->binary(message, now);
    return sink.take();
  }
  // Two 20 ms frames' worth of time is up to the test; this is one frame of zeros.
  Lines frame() {
    const AudioFormat format = driver->up_format();
    if (format.encoding == AudioFormat::Encoding::s16) {
      driver->frame(std::vector<int16_t>(format.frame_samples()), now);
    } else {
      driver->frame_g711(std::vector<uint8_t>(format.frame_samples()), now);
    }
    return sink.take();
  }
  Lines tick_after(milliseconds time) {
    now += time;
    driver->tick(now);
    return sink.take();
  }
  Lines close(uint16_t code) {
    driver->closed({code, ""}, now);
    return sink.take();
  }

  VoiceCounters counters;
  RecordingSink sink;
  Instant now = from_ns(0);
  std::unique_ptr<VoiceDriver> driver;
};

}  // namespace relay
