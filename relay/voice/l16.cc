// Raw 16-bit audio in binary messages beside a little JSON, as the `listen` of jambonz has it.
// https://docs.jambonz.org/verbs/verbs/listen
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "relay/voice/base64.h"
#include "relay/voice/driver_base.h"
#include "relay/voice/drivers.h"
#include "relay/voice/json_message.h"
#include "relay/voice/pcm.h"
#include "relay/voice/variables.h"

namespace relay {
namespace {

using nlohmann::json;

// A pending mark is a name behind `m`, or `p`: the end of a playAudio.
constexpr std::string_view kPlayAudio = "p";

constexpr int64_t kRateMin = 8000, kRateMax = 64000;

uint32_t little_endian(Octets octets, size_t at, size_t bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value |= uint32_t{octets[at + i]} << (8 * i);
  return value;
}

bool is_tag(Octets octets, size_t at, std::string_view tag) {
  return std::equal(tag.begin(), tag.end(), octets.begin() + static_cast<std::ptrdiff_t>(at));
}

struct WavAudio {
  int rate_hz = 0;
  Octets octets;
};

// RIFF with 16-bit mono PCM; nothing for other kinds. A data chunk longer than what there is ends
// with it, since streaming writers do not know its length.
std::optional<WavAudio> parse_wav(Octets octets) {
  if (octets.size() < 12 || !is_tag(octets, 0, "RIFF") || !is_tag(octets, 8, "WAVE")) {
    return std::nullopt;
  }
  WavAudio audio;
  for (size_t at = 12; octets.size() - at >= 8;) {
    const size_t length =
        std::min<size_t>(little_endian(octets, at + 4, 4), octets.size() - at - 8);
    if (is_tag(octets, at, "fmt ") && length >= 16) {
      const bool is_pcm16_mono = little_endian(octets, at + 8, 2) == 1 &&
                                 little_endian(octets, at + 10, 2) == 1 &&
                                 little_endian(octets, at + 22, 2) == 16;
      const uint32_t rate = little_endian(octets, at + 12, 4);
      if (!is_pcm16_mono || rate < kRateMin || rate > kRateMax) return std::nullopt;
      audio.rate_hz = static_cast<int>(rate);
    } else if (is_tag(octets, at, "data") && audio.rate_hz > 0) {
      audio.octets = octets.subspan(at + 8, length);
      return audio;
    }
    at += std::min(8 + length + length % 2, octets.size() - at);
  }
  return std::nullopt;
}

class L16Driver final : public DriverBase {
 public:
  using DriverBase::DriverBase;

  DialTarget target() const override { return target_of(profile(), call()); }
  AudioFormat up_format() const override {
    return {AudioFormat::Encoding::s16, profile().rate_hz, call().stereo ? 2 : 1};
  }
  AudioFormat down_format() const override {
    return {AudioFormat::Encoding::s16, play_rate_hz(), 1};
  }

  void connected(Instant now) override {
    json metadata = {
        {"callSid", call().session_id},    {"callId", call().call_id},
        {"from", call().caller},           {"to", call().callee},
        {"sampleRate", profile().rate_hz}, {"mixType", call().stereo ? "stereo" : "mono"}};
    for (const VoiceParameter& parameter : profile().parameters) {
      metadata[parameter.name] = substitute(parameter.value, call());
    }
    send(metadata);
    set_started();
    expect_reply(now);
  }

  void text(std::string_view message, Instant now) override {
    counters().messages_down.add();
    const auto parsed = parse_message(message);
    if (!parsed) return ignore_message();
    const std::string_view type = text_at(*parsed, "type");
    const json& data = object_at(*parsed, "data");
    if (type == "playAudio") {
      on_play_audio(data);
    } else if (type == "killAudio" || type == "clear") {
      settle();
      interrupt();
    } else if (type == "mark" && !text_at(data, "name").empty()) {
      settle();
      add_mark("m" + std::string(text_at(data, "name")));
    } else if (type == "clearMarks") {
      give_up_marks([](std::string_view name) { return name != kPlayAudio; });
    } else if (type == "transcription") {
      const std::string_view text = text_at(*parsed, "text");
      say(VoiceEventKind::user_speech, text.empty() ? text_at(data, "text") : text);
    } else if (type == "disconnect") {
      wind_up(now);
    } else {
      ignore_message();
    }
  }

  void binary(Octets message, Instant) override {
    counters().messages_down.add();
    play(reader_.read(message), play_rate_hz());
  }

  // The duration in samples at 8 kHz, as text.
  void dtmf(char digit, std::chrono::milliseconds duration, Instant) override {
    if (is_over() || !is_started()) return;
    send({{"event", "dtmf"},
          {"dtmf", std::string(1, digit)},
          {"duration", std::to_string(duration.count() * 8)}});
  }

 private:
  int play_rate_hz() const {
    return profile().play_rate_hz > 0 ? profile().play_rate_hz : profile().rate_hz;
  }

  void send(const json& message) { sink().send_text(to_text(message), VoiceSink::Send::control); }

  void send_frame(Samples samples, Instant) override {
    octets_.clear();
    append_s16le(octets_, samples);
    counters().frames_up.add();
    sink().send_binary(octets_, VoiceSink::Send::audio);
  }

  void send_mark(std::string_view name, MarkFate fate) override {
    if (name == kPlayAudio) {
      if (fate == MarkFate::played) send({{"type", "playDone"}});
      return;
    }
    send({{"type", "mark"},
          {"data",
           {{"name", name.substr(1)},
            {"event", fate == MarkFate::played ? "playout" : "cleared"}}}});
  }

  void on_play_audio(const json& data) {
    const auto content = decode_base64(text_at(data, "audioContent"));
    if (!content || content->empty()) return ignore_message();
    WavAudio audio;
    if (text_at(data, "audioContentType") == "wav") {
      const auto wav = parse_wav(*content);
      if (!wav) return ignore_message();
      audio = *wav;
    } else {
      const int64_t rate = number_at(data, "sampleRate").value_or(play_rate_hz());
      if (rate < kRateMin || rate > kRateMax) return ignore_message();
      audio = {static_cast<int>(rate), *content};
    }
    S16leReader reader;
    play(reader.read(audio.octets), audio.rate_hz);
    add_mark(std::string(kPlayAudio));
  }

  void take_leave(Instant) override { finish(1000, ""); }
  bool is_orderly(const Closure& closure) const override { return is_normal(closure); }

  S16leReader reader_;
  std::vector<uint8_t> octets_;
};

}  // namespace

std::unique_ptr<VoiceDriver> make_l16_driver(const VoiceProfile& profile, const VoiceCall& call,
                                             VoiceSink& sink, VoiceCounters& counters) {
  return std::make_unique<L16Driver>(profile, call, sink, counters);
}

}  // namespace relay
