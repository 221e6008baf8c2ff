// Doubao's "realtime duplex" (v3): JSON, in the manner of OpenAI's.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "relay/voice/base64.h"
#include "relay/voice/doubao_errors.h"
#include "relay/voice/driver_base.h"
#include "relay/voice/drivers.h"
#include "relay/voice/json_message.h"
#include "relay/voice/pcm.h"
#include "relay/voice/variables.h"

namespace relay {
namespace {

using nlohmann::json;

constexpr int kUpRateHz = 16000, kDownRateHz = 24000;
constexpr const char* kVoice = "zh_female_vv_jupiter_bigtts";
constexpr Duration kHandshakeLimit = std::chrono::seconds(5);
constexpr Duration kFarewellLimit = std::chrono::seconds(1);

class DoubaoV3Driver final : public DriverBase {
 public:
  using DriverBase::DriverBase;

  DialTarget target() const override { return target_of(profile(), call()); }
  AudioFormat up_format() const override { return {AudioFormat::Encoding::s16, kUpRateHz, 1}; }
  AudioFormat down_format() const override { return {AudioFormat::Encoding::s16, kDownRateHz, 1}; }

  // Nothing else may be sent before session.created.
  void connected(Instant now) override {
    send(session_create());
    expect("session.created", kHandshakeLimit, now);
  }

  void text(std::string_view message, Instant now) override {
    counters().messages_down.add();
    const auto parsed = parse_message(message);
    if (!parsed || is_over()) return ignore_message();
    const std::string_view type = text_at(*parsed, "type");
    if (type == "response.output_audio.delta") {
      on_audio(*parsed);
    } else if (type == "session.created") {
      on_created(now);
    } else if (type == "session.closed") {
      finish(1000, "");
    } else if (type == "error") {
      on_error(object_at(*parsed, "error"));
    } else if (is_started()) {
      on_turn(type, *parsed, now);
    } else {
      ignore_message();
    }
  }

  void binary(Octets, Instant) override {
    counters().messages_down.add();
    ignore_message();
  }

  // No event of the protocol carries digits.
  void dtmf(char, std::chrono::milliseconds, Instant) override {}

 private:
  void send(const json& message) { sink().send_text(to_text(message), VoiceSink::Send::control); }

  json session_create() const {
    json message = json::object();
    if (auto parsed = parse_message(profile().session_template)) message = std::move(*parsed);
    substitute_in_json(message, call());
    message["type"] = "session.create";
    json& session = object_in(message, "session");
    if (!session.contains("model")) session["model"] = "1.2.6.1";
    json& audio = object_in(session, "audio");
    object_in(audio, "input")["format"] = {{"type", "pcm"}, {"rate", kUpRateHz}};
    json& output = object_in(audio, "output");
    output["format"] = {{"type", "pcm_s16le"}, {"rate", kDownRateHz}};
    if (!output.contains("voice")) output["voice"] = kVoice;  // required
    return message;
  }

  void on_created(Instant now) {
    if (is_started() || is_leaving()) return ignore_message();
    set_started();
    if (profile().greeting.empty()) return;
    // The commit alone says a whole text.
    send({{"type", "speech_text_buffer.commit"}, {"text", substitute(profile().greeting, call())}});
    expect_reply(now);
  }

  void send_frame(Samples samples, Instant) override {
    octets_.clear();
    append_s16le(octets_, samples);
    message_ = R"({"type":"input_audio_buffer.append","audio":")";
    append_base64(message_, octets_);
    message_ += R"("})";
    counters().frames_up.add();
    sink().send_text(message_, VoiceSink::Send::audio);
  }

  void on_turn(std::string_view type, const json& message, Instant now) {
    constexpr std::string_view kTranscription = "conversation.item.input_audio_transcription.";
    if (type.starts_with(kTranscription)) {
      on_transcription(type.substr(kTranscription.size()), message, now);
    } else if (type == "response.output_audio.started") {
      begin_reply();
      expect_audio(now);
      reader_.reset();
      fenced_ = false;
    } else if (type == "response.output_audio.done") {
      end_of_reply();
      if (text_at(message, "status_code") == kDoubaoGoodbye) wind_up(now);
    } else if (type == "response.output_text.done") {
      say(VoiceEventKind::ai_response, text_at(message, "text"));
    } else if (!type.starts_with("response.") && !type.starts_with("session.")) {
      ignore_message();
    }
  }

  void on_transcription(std::string_view what, const json& message, Instant now) {
    if (what == "started") {
      on_caller_speaks();
    } else if (what == "completed") {
      say(VoiceEventKind::user_speech, text_at(message, "transcript"));
      expect_reply(now);
    }
  }

  // After response.cancel the old reply goes on for up to half a second.
  void on_caller_speaks() {
    settle();
    fenced_ = true;
    interrupt();
  }
  void on_barge_in(Instant) override {
    on_caller_speaks();
    send({{"type", "response.cancel"}});
  }

  void on_audio(const json& message) {
    if (fenced_) return counters().audio_fenced.add();
    std::string_view text = text_at(message, "delta");
    if (text.empty()) text = text_at(message, "audio");
    const auto audio = decode_base64(text);
    if (!audio || audio->empty()) return ignore_message();
    play(reader_.read(*audio), kDownRateHz);
  }

  // Around the end of a session errors come that mean nothing.
  void on_error(const json& error) {
    if (is_leaving()) return ignore_message();
    const std::string_view text = text_at(error, "message");
    std::optional<int64_t> code = number_at(error, "code");
    const VoiceError kind = classify_doubao_error(code, text);
    const std::string shown = code ? fmt::format("{} {}", *code, text) : std::string(text);
    if (is_started()) {
      complain(kind, shown);
    } else {
      fail(kind, shown);
    }
  }

  void take_leave(Instant now) override {
    if (!is_started()) return finish(1000, "");
    send({{"type", "session.close"}});
    await_farewell(kFarewellLimit, now);
  }

  bool is_orderly(const Closure&) const override { return false; }

  std::vector<uint8_t> octets_;
  std::string message_;
  S16leReader reader_;
  bool fenced_ = false;
};

}  // namespace

std::unique_ptr<VoiceDriver> make_doubao_v3_driver(const VoiceProfile& profile,
                                                   const VoiceCall& call, VoiceSink& sink,
                                                   VoiceCounters& counters) {
  return std::make_unique<DoubaoV3Driver>(profile, call, sink, counters);
}

}  // namespace relay
