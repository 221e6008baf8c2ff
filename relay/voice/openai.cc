// The Realtime API of OpenAI and of those who took it over, over WebSocket: the client owns the
// play-out buffer and has to say what of it was heard.
// https://platform.openai.com/docs/guides/realtime-websocket
#include <fmt/format.h>

#include <cstring>
#include <deque>
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
using Encoding = AudioFormat::Encoding;

constexpr Duration kCreatedLimit = std::chrono::seconds(5);
constexpr Duration kUpdatedLimit = std::chrono::seconds(2);
constexpr size_t kHeldFramesMax = 50;  // one second
constexpr int kDownRateHz = 24000;

class OpenaiDriver final : public DriverBase {
 public:
  OpenaiDriver(const VoiceProfile& profile, const VoiceCall& call, VoiceSink& sink,
               VoiceCounters& counters)
      : DriverBase(profile, call, sink, counters),
        // Names and shape of the session object of before general availability.
        is_beta_(profile.dialect == VoiceDialect::openai_beta || is_relative(profile.dialect)),
        encoding_(encoding_of(profile, call)),
        session_update_(make_session_update()),
        client_cancels_(is_relative(profile.dialect) || !server_interrupts(session_update_)) {}

  DialTarget target() const override {
    DialTarget target = target_of(profile(), call());
    if (profile().dialect == VoiceDialect::openai_beta) {
      target.headers.push_back({"OpenAI-Beta", "realtime=v1"});
    }
    return target;
  }
  AudioFormat up_format() const override {
    if (encoding_ != Encoding::s16) return {encoding_, 8000, 1};
    return {encoding_, profile().dialect == VoiceDialect::qwen ? 16000 : 24000, 1};
  }
  AudioFormat down_format() const override {
    if (encoding_ != Encoding::s16) return {encoding_, 8000, 1};
    return {encoding_, kDownRateHz, 1};
  }

  void connected(Instant now) override { expect("session.created", kCreatedLimit, now); }

  void text(std::string_view message, Instant now) override {
    counters().messages_down.add();
    const auto parsed = parse_message(message);
    if (!parsed || is_over()) return ignore_message();
    const std::string_view type = text_at(*parsed, "type");
    if (type == "response.output_audio.delta" || type == "response.audio.delta") {
      on_audio(*parsed, now);
    } else if (type == "session.created") {
      if (is_started()) return ignore_message();
      send(session_update_);
      expect("session.updated", kUpdatedLimit, now);
    } else if (type == "session.updated") {
      on_updated(now);
    } else if (type == "error") {
      on_error(object_at(*parsed, "error"));
    } else {
      on_turn(type, *parsed, now);
    }
  }

  void binary(Octets, Instant) override {
    counters().messages_down.add();
    ignore_message();
  }

  // No event of the protocol carries digits.
  void dtmf(char, std::chrono::milliseconds, Instant) override {}

 private:
  // Services whose API is of the beta's shape and that do not cancel a reply by themselves.
  static bool is_relative(VoiceDialect dialect) {
    return dialect == VoiceDialect::qwen || dialect == VoiceDialect::stepfun;
  }

  static Encoding encoding_of(const VoiceProfile& profile, const VoiceCall& call) {
    if (is_relative(profile.dialect)) return Encoding::s16;
    switch (profile.audio) {
      case VoiceAudio::pcmu:
        return Encoding::pcmu;
      case VoiceAudio::pcma:
        return Encoding::pcma;
      case VoiceAudio::s16:
        return Encoding::s16;
      case VoiceAudio::automatic:
        break;
    }
    return call.leg_encoding;  // G.711 goes through as it is
  }

  // Unless switched off, the server's voice detection ends a reply when the caller speaks.
  static bool server_interrupts(const json& session_update) {
    const json& session = object_at(session_update, "session");
    const json& input = object_at(object_at(session, "audio"), "input");
    const json& holder = input.contains("turn_detection") ? input : session;
    const auto detection = holder.find("turn_detection");
    if (detection == holder.end()) return true;
    if (!detection->is_object()) return false;
    return detection->value("interrupt_response", json(true)) != json(false);
  }

  void send(const json& message) { sink().send_text(to_text(message), VoiceSink::Send::control); }

  json make_session_update() const {
    json message = json::object();
    if (auto parsed = parse_message(profile().session_template)) message = std::move(*parsed);
    substitute_in_json(message, call());
    message["type"] = "session.update";
    json& session = object_in(message, "session");
    if (is_beta_) {
      add_beta_session(session);
    } else {
      session["type"] = "realtime";
      json& audio = object_in(session, "audio");
      object_in(audio, "input")["format"] = format();
      object_in(audio, "output")["format"] = format();
      if (!session.contains("output_modalities")) session["output_modalities"] = {"audio"};
    }
    return message;
  }

  void add_beta_session(json& session) const {
    const bool is_qwen = profile().dialect == VoiceDialect::qwen;
    const auto set_format = [&](const char* key, const char* name) {
      // Qwen's models call the same samples pcm16, pcm24 or pcm.
      if (!is_qwen || !session.contains(key)) session[key] = beta_format(name);
    };
    set_format("input_audio_format", "pcm16");
    set_format("output_audio_format", is_qwen ? "pcm24" : "pcm16");
    if (!session.contains("modalities")) session["modalities"] = {"text", "audio"};
    // Where it is off unless asked for, nobody would ever answer.
    if (profile().dialect == VoiceDialect::stepfun && !session.contains("turn_detection")) {
      session["turn_detection"] = {{"type", "server_vad"}};
    }
  }

  const char* beta_format(const char* of_samples) const {
    if (encoding_ == Encoding::s16) return of_samples;
    return encoding_ == Encoding::pcmu ? "g711_ulaw" : "g711_alaw";
  }
  json format() const {
    if (encoding_ == Encoding::s16) return {{"type", "audio/pcm"}, {"rate", kDownRateHz}};
    return {{"type", encoding_ == Encoding::pcmu ? "audio/pcmu" : "audio/pcma"}};
  }

  // Audio of before session.updated would be taken for the default format.
  void early_frame(Octets octets) override {
    if (held_.size() >= kHeldFramesMax) {
      held_.pop_front();
      counters().frames_up_unsent.add();
    }
    if (encoding_ != Encoding::s16) {
      held_.emplace_back(octets.begin(), octets.end());
      return;
    }
    std::vector<int16_t> samples(octets.size() / 2);
    std::memcpy(samples.data(), octets.data(), samples.size() * 2);
    append_s16le(held_.emplace_back(), samples);
  }

  void on_updated(Instant now) {
    if (is_started() || is_leaving()) return;
    set_started();
    if (!profile().greeting.empty()) {
      send({{"type", "response.create"},
            {"response", {{"instructions", substitute(profile().greeting, call())}}}});
      expect_reply(now);
    }
    for (const auto& octets : std::exchange(held_, {})) append_audio(octets);
  }

  void send_frame(Samples samples, Instant) override {
    octets_.clear();
    append_s16le(octets_, samples);
    append_audio(octets_);
  }
  void send_frame_g711(Octets octets, Instant) override { append_audio(octets); }

  void append_audio(Octets octets) {
    message_ = R"({"type":"input_audio_buffer.append","audio":")";
    append_base64(message_, octets);
    message_ += R"("})";
    counters().frames_up.add();
    sink().send_text(message_, VoiceSink::Send::audio);
  }

  void on_turn(std::string_view type, const json& message, Instant now) {
    if (type == "input_audio_buffer.speech_started") {
      on_caller_speaks(client_cancels_);
    } else if (type == "input_audio_buffer.speech_stopped") {
      expect_reply(now);
    } else if (type == "response.created") {
      active_ = text_at(object_at(message, "response"), "id");
      is_active_ = true;
      fenced_ = false;
    } else if (type == "response.done") {
      on_response_done(object_at(message, "response"));
    } else if (type == "response.output_audio.done" || type == "response.audio.done") {
      end_of_reply();
    } else if (type == "response.output_audio_transcript.done" ||
               type == "response.audio_transcript.done") {
      say(VoiceEventKind::ai_response, text_at(message, "transcript"));
    } else if (type == "conversation.item.input_audio_transcription.completed") {
      say(VoiceEventKind::user_speech, text_at(message, "transcript"));
    }
    // Of the many other events none is for us.
  }

  void on_response_done(const json& response) {
    is_active_ = false;
    no_more_audio();
    if (text_at(response, "status") != "failed") return;
    const json& error = object_at(object_at(response, "status_details"), "error");
    complain(VoiceError::endpoint_error,
             fmt::format("{} {}", text_at(error, "code"), text_at(error, "message")));
  }

  // What of the reply was not heard is cut from the model's memory of it.
  void on_caller_speaks(bool cancel) {
    settle();
    const bool was_active = is_active_;
    if (was_active) {
      cancelled_ = active_;
      fenced_ = true;
      is_active_ = false;
    }
    const Interruption interruption = interrupt();
    if (cancel && was_active) send({{"type", "response.cancel"}});
    const bool can_truncate = !is_relative(profile().dialect);
    if (interruption.cut == Duration::zero() || item_.empty() || !can_truncate) return;
    const auto played = std::chrono::duration_cast<std::chrono::milliseconds>(interruption.played);
    send({{"type", "conversation.item.truncate"},
          {"item_id", item_},
          {"content_index", 0},
          {"audio_end_ms", played.count()}});
    item_.clear();
  }
  void on_barge_in(Instant) override { on_caller_speaks(true); }

  // Deltas name their response; where a service leaves that out, the next response ends the fence.
  bool is_stale(std::string_view response) const {
    return response.empty() ? fenced_ : response == cancelled_;
  }

  void on_audio(const json& message, Instant now) {
    const std::string_view response = text_at(message, "response_id");
    if (is_stale(response)) return counters().audio_fenced.add();
    active_ = response;
    is_active_ = true;
    const auto audio = decode_base64(text_at(message, "delta"));
    if (!audio || audio->empty()) return ignore_message();
    if (const std::string_view item = text_at(message, "item_id"); item != item_) {
      item_ = item;
      begin_reply();
      expect_audio(now);
      reader_.reset();
    }
    if (encoding_ == Encoding::s16) {
      play(reader_.read(*audio), kDownRateHz);
    } else {
      play_g711(encoding_, *audio);
    }
  }

  // A cancel that loses the race against the end of the reply is no error.
  void on_error(const json& error) {
    const std::string_view code = text_at(error, "code"), text = text_at(error, "message");
    const bool is_lost_race = code == "response_cancel_not_active" ||
                              text.find("no active response") != std::string_view::npos;
    if (is_leaving() || is_lost_race) return ignore_message();
    const VoiceError kind = text_at(error, "type") == "server_error" ? VoiceError::endpoint_error
                                                                     : VoiceError::endpoint_refusal;
    const std::string shown = code.empty() ? std::string(text) : fmt::format("{} {}", code, text);
    if (is_started()) {
      complain(kind, shown);
    } else {
      fail(kind, shown);
    }
  }

  void take_leave(Instant) override { finish(1000, ""); }
  bool is_orderly(const Closure&) const override { return false; }

  const bool is_beta_;
  const Encoding encoding_;
  const json session_update_;
  const bool client_cancels_;
  std::deque<std::vector<uint8_t>> held_;  // frames of before session.updated
  std::vector<uint8_t> octets_;
  std::string message_;
  S16leReader reader_;
  std::string active_, cancelled_, item_;
  bool is_active_ = false, fenced_ = false;
};

}  // namespace

std::unique_ptr<VoiceDriver> make_openai_driver(const VoiceProfile& profile, const VoiceCall& call,
                                                VoiceSink& sink, VoiceCounters& counters) {
  return std::make_unique<OpenaiDriver>(profile, call, sink, counters);
}

}  // namespace relay
