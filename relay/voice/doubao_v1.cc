// Doubao's "realtime dialogue" (v1): binary frames, one dialogue a connection.
//
//   StartConnection → 50 → StartSession → 150 → TaskRequest every 20 ms …
//   450 (the caller speaks) → 451 … → 459 → 350 → 352 … → 351 → 359
//   FinishSession → 152 → FinishConnection → 52
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "relay/voice/doubao_errors.h"
#include "relay/voice/doubao_frame.h"
#include "relay/voice/driver_base.h"
#include "relay/voice/drivers.h"
#include "relay/voice/json_message.h"
#include "relay/voice/pcm.h"
#include "relay/voice/variables.h"

namespace relay {
namespace {

using nlohmann::json;
using Event = DoubaoFrame::Event;
using Type = DoubaoFrame::Type;

constexpr int kUpRateHz = 16000, kDownRateHz = 24000;
constexpr Duration kHandshakeLimit = std::chrono::seconds(5);
constexpr Duration kFarewellLimit = std::chrono::seconds(1);
constexpr size_t kReplyTextBytesMax = 16 * 1024;

std::string_view as_text(Octets octets) {
  return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}
Octets as_octets(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

class DoubaoV1Driver final : public DriverBase {
 public:
  using DriverBase::DriverBase;

  // The resource and the app key are constants of the documentation, no secrets.
  DialTarget target() const override {
    DialTarget target = target_of(profile(), call());
    const auto add_default = [&](std::string_view name, std::string value) {
      if (!has_header(target, name)) target.headers.push_back({std::string(name), value});
    };
    add_default("X-Api-Resource-Id", "volc.speech.dialog");
    add_default("X-Api-Connect-Id", call().session_id);
    if (has_header(target, "X-Api-App-ID")) add_default("X-Api-App-Key", "PlgvMymc7f3tQnJ6");
    return target;
  }
  AudioFormat up_format() const override { return {AudioFormat::Encoding::s16, kUpRateHz, 1}; }
  AudioFormat down_format() const override { return {AudioFormat::Encoding::s16, kDownRateHz, 1}; }

  void connected(Instant now) override {
    send_json(Event::start_connection, "{}");
    expect("ConnectionStarted", kHandshakeLimit, now);
  }

  void text(std::string_view, Instant) override {
    counters().messages_down.add();
    ignore_message();
  }

  void binary(Octets message, Instant now) override {
    counters().messages_down.add();
    const auto frame = parse_doubao_frame(message);
    if (!frame || is_over()) return ignore_message();
    if (frame->type == Type::error) return on_error(frame->error_code, as_text(frame->payload));
    const bool is_audio = frame->type == Type::audio_response;
    if (is_audio && (frame->event == Event::tts_response || frame->event == Event::none)) {
      return on_audio(frame->payload);
    }
    json body = json::object();
    if (frame->is_json && !frame->payload.empty()) {
      auto parsed = parse_message(as_text(frame->payload));
      if (!parsed) return ignore_message();
      body = std::move(*parsed);
    }
    on_event(frame->event, body, as_text(frame->payload), now);
  }

  // No event of the protocol carries digits.
  void dtmf(char, std::chrono::milliseconds, Instant) override {}

 private:
  static bool has_header(const DialTarget& target, std::string_view name) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::any_of(target.headers.begin(), target.headers.end(), [&](const HttpHeader& h) {
      return std::equal(h.name.begin(), h.name.end(), name.begin(), name.end(),
                        [&](char a, char b) { return lower(a) == lower(b); });
    });
  }

  void send_frame_of(Type type, bool is_json, Event event, Octets payload, VoiceSink::Send kind) {
    DoubaoFrame frame;
    frame.type = type;
    frame.is_json = is_json;
    frame.event = event;
    frame.id = call().session_id;
    frame.payload = payload;
    encode_doubao_frame(frame, out_);
    sink().send_binary(out_, kind);
  }
  void send_json(Event event, std::string_view body) {
    send_frame_of(Type::full_request, true, event, as_octets(body), VoiceSink::Send::control);
  }

  void send_frame(Samples samples, Instant) override {
    octets_.clear();
    append_s16le(octets_, samples);
    counters().frames_up.add();
    send_frame_of(Type::audio_request, false, Event::task_request, octets_, VoiceSink::Send::audio);
  }

  // The operator's template or none, with what is required; our audio either way.
  std::string session_body() const {
    json body = json::object();
    if (auto parsed = parse_message(profile().session_template)) body = std::move(*parsed);
    substitute_in_json(body, call());
    json& asr = object_in(body, "asr");
    asr["audio_info"] = {{"format", "pcm"}, {"sample_rate", kUpRateHz}, {"channel", 1}};
    json& asr_extra = object_in(asr, "extra");
    if (!asr_extra.contains("end_smooth_window_ms")) {
      asr_extra["end_smooth_window_ms"] = profile().end_smooth_window_ms;
    }
    json& audio = object_in(object_in(body, "tts"), "audio_config");
    audio["channel"] = 1;
    audio["format"] = "pcm_s16le";  // "pcm" would be 32-bit floats
    audio["sample_rate"] = kDownRateHz;
    json& extra = object_in(object_in(body, "dialog"), "extra");
    if (!extra.contains("model")) extra["model"] = "1.2.1.1";
    if (!extra.contains("input_mod")) extra["input_mod"] = "keep_alive";
    return to_text(body);
  }

  void on_event(Event event, const json& body, std::string_view raw, Instant now) {
    switch (event) {
      case Event::connection_started:
        if (is_started() || is_leaving()) return ignore_message();
        send_json(Event::start_session, session_body());
        return expect("SessionStarted", kHandshakeLimit, now);
      case Event::session_started:
        return on_session_started(now);
      case Event::connection_failed:
      case Event::session_failed:
        return on_error(std::nullopt,
                        text_at(body, "error").empty() ? raw : text_at(body, "error"));
      case Event::dialog_error:
        return on_error(number_at(body, "status_code"), text_at(body, "message"));
      case Event::session_finished:
        return on_session_finished(now);
      case Event::connection_finished:
        return finish(1000, "");
      default:
        return on_turn(event, body, now);
    }
  }

  void on_turn(Event event, const json& body, Instant now) {
    switch (event) {
      case Event::asr_info:
        question_ = text_at(body, "question_id");
        return on_caller_speaks();
      case Event::asr_response:
        return on_recognised(body);
      case Event::asr_ended:
        tell_user_speech();
        return expect_reply(now);
      case Event::tts_sentence_start:
        return on_sentence(body, now);
      case Event::tts_ended:
        return on_tts_ended(body, now);
      case Event::chat_response:
        if (reply_text_.size() < kReplyTextBytesMax) reply_text_ += text_at(body, "content");
        return;
      case Event::chat_ended:
        say(VoiceEventKind::ai_response, std::exchange(reply_text_, {}));
        return;
      default:
        return;  // usage, sentence ends, acknowledgements: nothing to do
    }
  }

  void on_session_started(Instant now) {
    if (is_started() || is_leaving()) return ignore_message();
    set_started();
    if (profile().greeting.empty()) return;
    const json hello = {{"content", substitute(profile().greeting, call())}};
    send_json(Event::say_hello, to_text(hello));
    expect_reply(now);
  }

  // Whether audio of the reply that was cut may still come is not documented: what comes before
  // the next sentence is not heard.
  void on_caller_speaks() {
    settle();
    fenced_ = true;
    interrupt();
  }
  void on_barge_in(Instant) override { on_caller_speaks(); }

  // Finals repeat (two passes): the last one of a question counts.
  void on_recognised(const json& body) {
    const auto results = body.find("results");
    if (results == body.end() || !results->is_array()) return ignore_message();
    for (const json& result : *results) {
      if (is_true_at(result, "is_interim")) continue;
      if (const auto text = text_at(result, "text"); !text.empty()) user_speech_ = text;
    }
  }

  void tell_user_speech() {
    const std::string text = std::exchange(user_speech_, {});
    if (text.empty() || (!question_.empty() && question_ == told_question_)) return;
    told_question_ = question_;
    say(VoiceEventKind::user_speech, text);
  }

  void on_sentence(const json& body, Instant now) {
    tell_user_speech();
    const std::string_view type = text_at(body, "tts_type");
    const std::string_view reply = text_at(body, "reply_id");
    // Speech that takes the place of another reply; each sentence of a greeting is of that type.
    const bool is_replacement = type == "chat_tts_text" || type == "external_rag";
    const bool is_other = !reply.empty() && !reply_.empty() && reply != reply_;
    if (!fenced_ && is_replacement && is_other) interrupt();
    if (fenced_ || reply.empty() || reply != reply_) begin_reply();
    expect_audio(now);
    reply_ = reply;
    fenced_ = false;
    reader_.reset();
  }

  void on_audio(Octets audio) {
    if (fenced_) return counters().audio_fenced.add();
    play(reader_.read(audio), kDownRateHz);
  }

  void on_tts_ended(const json& body, Instant now) {
    end_of_reply();
    if (text_at(body, "status_code") == kDoubaoGoodbye) wind_up(now);
  }

  void on_error(std::optional<int64_t> code, std::string_view text) {
    if (is_leaving()) return ignore_message();
    fail(classify_doubao_error(code, text),
         code ? fmt::format("{} {}", *code, text) : std::string(text));
  }

  void take_leave(Instant now) override {
    if (!is_started()) return finish(1000, "");
    send_json(Event::finish_session, "{}");
    await_farewell(kFarewellLimit, now);
  }

  void on_session_finished(Instant now) {
    send_json(Event::finish_connection, "{}");
    if (!is_leaving()) return finish(1000, "");
    await_farewell(kFarewellLimit, now);
  }

  bool is_orderly(const Closure&) const override { return false; }

  std::vector<uint8_t> out_, octets_;
  S16leReader reader_;
  bool fenced_ = false;
  std::string question_, told_question_, user_speech_, reply_, reply_text_;
};

}  // namespace

std::unique_ptr<VoiceDriver> make_doubao_v1_driver(const VoiceProfile& profile,
                                                   const VoiceCall& call, VoiceSink& sink,
                                                   VoiceCounters& counters) {
  return std::make_unique<DoubaoV1Driver>(profile, call, sink, counters);
}

}  // namespace relay
