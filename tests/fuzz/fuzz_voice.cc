// Any bytes as what an endpoint sends: no driver crashes, throws or reads outside, Doubao's frames
// survive the way back to bytes, and what is played stays within what was sent.
//
// The first byte chooses the driver; then messages: one byte kind, two bytes length, the bytes.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "relay/base/assert.h"
#include "relay/voice/base64.h"
#include "relay/voice/doubao_frame.h"
#include "relay/voice/driver.h"
#include "relay/voice/profile.h"

namespace {

using relay::Octets;

class Sink final : public relay::VoiceSink {
 public:
  void send_text(std::string_view, Send) override {}
  void send_binary(Octets, Send) override {}
  void close(uint16_t, std::string_view) override { closed = true; }
  void play_samples(relay::Samples samples, int rate_hz) override {
    RELAY_ASSERT(!samples.empty() && rate_hz >= 8000 && rate_hz <= 192000);
    played += samples.size() * 2;
  }
  void play_g711(relay::AudioFormat::Encoding, Octets octets) override { played += octets.size(); }
  void end_of_reply() override {}
  void mark(relay::MarkId id) override {
    RELAY_ASSERT(id == last_mark + 1);
    last_mark = id;
  }
  relay::Duration clear() override { return std::chrono::milliseconds(20); }
  void event(const relay::VoiceEvent& event) override {
    RELAY_ASSERT(!ended);
    ended = event.kind == relay::VoiceEventKind::ended;
  }

  size_t played = 0;
  relay::MarkId last_mark = 0;
  bool closed = false, ended = false;
};

void check_frame(Octets bytes) {
  const auto frame = relay::parse_doubao_frame(bytes);
  if (!frame) return;
  const auto is_inside = [&](const void* data, size_t size) {
    const auto* begin = static_cast<const uint8_t*>(data);
    return size == 0 || (begin >= bytes.data() && begin + size <= bytes.data() + bytes.size());
  };
  RELAY_ASSERT(is_inside(frame->payload.data(), frame->payload.size()));
  RELAY_ASSERT(is_inside(frame->id.data(), frame->id.size()));
  const bool is_requested = frame->type != relay::DoubaoFrame::Type::error && !frame->sequence;
  if (!is_requested || frame->event == relay::DoubaoFrame::Event::none) return;
  std::vector<uint8_t> encoded;
  relay::encode_doubao_frame(*frame, encoded);
  const auto again = relay::parse_doubao_frame(encoded);
  RELAY_ASSERT(again && again->event == frame->event && again->id == frame->id);
  RELAY_ASSERT(std::equal(again->payload.begin(), again->payload.end(), frame->payload.begin(),
                          frame->payload.end()));
}

relay::VoiceProfile profile_of(uint8_t choice) {
  using relay::VoiceDialect;
  using relay::VoiceDriverKind;
  struct Row {
    VoiceDriverKind driver;
    VoiceDialect dialect;
  };
  constexpr std::array<Row, 7> rows{{{VoiceDriverKind::twilio, VoiceDialect::none},
                                     {VoiceDriverKind::doubao, VoiceDialect::v1},
                                     {VoiceDriverKind::doubao, VoiceDialect::v3},
                                     {VoiceDriverKind::l16, VoiceDialect::none},
                                     {VoiceDriverKind::openai, VoiceDialect::openai},
                                     {VoiceDriverKind::openai, VoiceDialect::qwen},
                                     {VoiceDriverKind::audiosocket, VoiceDialect::none}}};
  relay::VoiceProfile profile;
  profile.driver = rows[choice % rows.size()].driver;
  profile.dialect = rows[choice % rows.size()].dialect;
  profile.url = "wss://192.0.2.1/";
  return profile;
}

void feed(relay::VoiceDriver& driver, Sink& sink, Octets input) {
  relay::Instant now{};
  size_t fed = 0;
  while (input.size() >= 3 && !sink.closed) {
    const uint8_t kind = input[0];
    const size_t length = std::min<size_t>(size_t{input[1]} << 8 | input[2], input.size() - 3);
    const Octets message = input.subspan(3, length);
    input = input.subspan(3 + length);
    fed += length;
    now += std::chrono::milliseconds(20);
    if (kind % 4 == 0) {
      driver.text({reinterpret_cast<const char*>(message.data()), message.size()}, now);
    } else if (kind % 4 == 1) {
      driver.binary(message, now);
    } else if (kind % 4 == 2) {
      driver.mark_done(kind / 4, relay::MarkFate::played);
    } else {
      driver.tick(now);
    }
    RELAY_ASSERT(sink.played <= fed + 1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const Octets input(data + 1, size - 1);
  check_frame(input);
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  if (const auto decoded = relay::decode_base64(text)) {
    std::string encoded;
    relay::append_base64(encoded, *decoded);
    RELAY_ASSERT(encoded.size() == text.size());
  }
  Sink sink;
  relay::VoiceCounters counters;
  relay::VoiceCall call;
  call.session_id = "75a6126e-427f-49a1-a2c1-621143cb9db3";
  const auto driver = relay::make_voice_driver(profile_of(data[0]), call, sink, counters);
  driver->connected({});
  feed(*driver, sink, input);
  driver->closed({1006, "gone"}, {});
  RELAY_ASSERT(sink.ended);
  return 0;
}
