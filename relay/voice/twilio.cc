// Twilio Media Streams, in the role of the carrier: JSON text, µ-law at 8 kHz.
// https://www.twilio.com/docs/voice/media-streams/websocket-messages
#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <nlohmann/json.hpp>

#include "relay/voice/base64.h"
#include "relay/voice/driver_base.h"
#include "relay/voice/drivers.h"
#include "relay/voice/json_message.h"
#include "relay/voice/variables.h"

namespace relay {
namespace {

using nlohmann::json;

constexpr size_t kFrameOctets = 160;

// `prefix` and 32 hex digits, as Twilio's identifiers are.
std::string identifier(std::string_view prefix, std::string_view of) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  EVP_Digest(of.data(), of.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
  std::string id(prefix);
  for (size_t i = 0; i < 16; ++i) id += fmt::format("{:02x}", digest[i]);
  return id;
}

// X-Twilio-Signature: HMAC-SHA1 of the URL.
std::string signature(const std::string& key, const std::string& url) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  HMAC(EVP_sha1(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(url.data()), url.size(), digest.data(), &length);
  std::string text;
  append_base64(text, Octets(digest.data(), length));
  return text;
}

class TwilioDriver final : public DriverBase {
 public:
  TwilioDriver(const VoiceProfile& profile, const VoiceCall& call, VoiceSink& sink,
               VoiceCounters& counters)
      : DriverBase(profile, call, sink, counters),
        call_sid_(identifier("CA", call.call_id + '\n' + call.session_id)),
        stream_sid_(identifier("MZ", call.session_id)) {}

  DialTarget target() const override {
    DialTarget target = target_of(profile(), call());
    if (!profile().signature_secret.empty()) {
      target.headers.push_back(
          {"X-Twilio-Signature", signature(profile().signature_secret, target.url)});
    }
    return target;
  }
  AudioFormat up_format() const override {
    return {AudioFormat::Encoding::pcmu, 8000, call().stereo ? 2 : 1};
  }
  AudioFormat down_format() const override { return {AudioFormat::Encoding::pcmu, 8000, 1}; }

  // Pipecat tells the dialect from the first two messages; nothing may precede them.
  void connected(Instant now) override {
    send(R"({"event":"connected","protocol":"Call","version":"1.0.0"})");
    send_start();
    set_started();
    expect_reply(now);
  }

  void text(std::string_view message, Instant) override {
    counters().messages_down.add();
    const auto parsed = parse_message(message);
    if (!parsed || text_at(*parsed, "streamSid") != stream_sid_) return ignore_message();
    const std::string_view event = text_at(*parsed, "event");
    if (event == "media") {
      on_media(object_at(*parsed, "media"));
    } else if (event == "mark") {
      on_mark(object_at(*parsed, "mark"));
    } else if (event == "clear") {
      settle();
      interrupt();
    } else {
      ignore_message();
    }
  }

  void binary(Octets, Instant) override {
    counters().messages_down.add();
    ignore_message();
  }

  void dtmf(char digit, std::chrono::milliseconds, Instant) override {
    if (is_over() || !is_started()) return;
    send(fmt::format(R"({{"event":"dtmf","sequenceNumber":"{}","streamSid":"{}",)"
                     R"("dtmf":{{"track":"inbound_track","digit":"{}"}}}})",
                     ++sequence_, stream_sid_, digit));
  }

 private:
  void send(std::string_view message) { sink().send_text(message, VoiceSink::Send::control); }

  void send_start() {
    json parameters = {
        {"from_number", call().caller}, {"to_number", call().callee}, {"call_id", call().call_id}};
    for (const VoiceParameter& parameter : profile().parameters) {
      parameters[parameter.name] = substitute(parameter.value, call());
    }
    const json tracks =
        call().stereo ? json::array({"inbound", "outbound"}) : json::array({"inbound"});
    const json start = {
        {"event", "start"},
        {"sequenceNumber", std::to_string(++sequence_)},
        {"streamSid", stream_sid_},
        {"start",
         {{"accountSid", profile().account_sid},
          {"streamSid", stream_sid_},
          {"callSid", call_sid_},
          {"tracks", tracks},
          {"mediaFormat", {{"encoding", "audio/x-mulaw"}, {"sampleRate", 8000}, {"channels", 1}}},
          {"customParameters", parameters}}}};
    send(to_text(start));
  }

  void send_frame_g711(Octets octets, Instant) override {
    ++chunk_;
    if (!call().stereo) return send_media("inbound", octets);
    std::array<uint8_t, kFrameOctets> track;
    for (size_t channel = 0; channel < 2; ++channel) {
      for (size_t i = 0; i < track.size(); ++i) track[i] = octets[2 * i + channel];
      send_media(channel == 0 ? "inbound" : "outbound", track);
    }
  }

  // The timestamp is the position in the media, not the time of day: peers fill its jumps.
  void send_media(std::string_view track, Octets octets) {
    message_.clear();
    fmt::format_to(std::back_inserter(message_),
                   R"({{"event":"media","sequenceNumber":"{}","streamSid":"{}","media":)"
                   R"({{"track":"{}","chunk":"{}","timestamp":"{}","payload":")",
                   ++sequence_, stream_sid_, track, chunk_, (chunk_ - 1) * 20);
    append_base64(message_, octets);
    message_ += R"("}})";
    counters().frames_up.add();
    sink().send_text(message_, VoiceSink::Send::audio);
  }

  void send_mark(std::string_view name, MarkFate) override {
    send(fmt::format(R"({{"event":"mark","sequenceNumber":"{}","streamSid":"{}",)"
                     R"("mark":{{"name":{}}}}})",
                     ++sequence_, stream_sid_, json_string(name)));
  }

  void on_media(const json& media) {
    const auto payload = decode_base64(text_at(media, "payload"));
    if (!payload || payload->empty()) return ignore_message();
    play_g711(AudioFormat::Encoding::pcmu, *payload);
  }

  void on_mark(const json& mark) {
    const std::string_view name = text_at(mark, "name");
    if (name.empty()) return ignore_message();
    settle();
    add_mark(std::string(name));
  }

  void take_leave(Instant) override {
    send(fmt::format(R"({{"event":"stop","sequenceNumber":"{}","streamSid":"{}",)"
                     R"("stop":{{"accountSid":{},"callSid":"{}"}}}})",
                     ++sequence_, stream_sid_, json_string(profile().account_sid), call_sid_));
    finish(1000, "");
  }

  bool is_orderly(const Closure& closure) const override { return is_normal(closure); }

  const std::string call_sid_, stream_sid_;
  uint64_t sequence_ = 0, chunk_ = 0;
  std::string message_;
};

}  // namespace

std::unique_ptr<VoiceDriver> make_twilio_driver(const VoiceProfile& profile, const VoiceCall& call,
                                                VoiceSink& sink, VoiceCounters& counters) {
  return std::make_unique<TwilioDriver>(profile, call, sink, counters);
}

}  // namespace relay
