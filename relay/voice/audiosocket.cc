// AudioSocket of Asterisk, over TCP: records of a type, a length and a payload.
// https://docs.asterisk.org/Configuration/Channel-Drivers/AudioSocket/
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "relay/voice/driver_base.h"
#include "relay/voice/drivers.h"
#include "relay/voice/pcm.h"

namespace relay {
namespace {

constexpr uint8_t kHangUp = 0x00, kUuid = 0x01, kDigit = 0x03, kError = 0xFF;
constexpr size_t kHeaderOctets = 3;

struct AudioType {
  uint8_t type;
  int rate_hz;
};
constexpr AudioType kAudioTypes[] = {
    {0x10, 8000},  {0x11, 12000}, {0x12, 16000}, {0x13, 24000},  {0x14, 32000},
    {0x15, 44100}, {0x16, 48000}, {0x17, 96000}, {0x18, 192000},
};

// The 16 bytes of a UUID's text; other text gives what digits it has.
std::array<uint8_t, 16> uuid_octets(std::string_view text) {
  std::array<uint8_t, 16> octets{};
  size_t nibbles = 0;
  for (const char c : text) {
    const std::string_view digits = "0123456789abcdef";
    const size_t value = digits.find(c);
    if (value == std::string_view::npos || nibbles >= 32) continue;
    octets[nibbles / 2] = static_cast<uint8_t>(size_t{octets[nibbles / 2]} << 4 | value);
    ++nibbles;
  }
  return octets;
}

class AudiosocketDriver final : public DriverBase {
 public:
  using DriverBase::DriverBase;

  DialTarget target() const override { return target_of(profile(), call()); }
  AudioFormat up_format() const override {
    return {AudioFormat::Encoding::s16, profile().rate_hz, 1};
  }
  AudioFormat down_format() const override { return up_format(); }

  void connected(Instant now) override {
    send(kUuid, uuid_octets(call().session_id), VoiceSink::Send::control);
    set_started();
    expect_reply(now);
  }

  void text(std::string_view, Instant) override { ignore_message(); }

  void binary(Octets piece, Instant now) override {
    stream_.insert(stream_.end(), piece.begin(), piece.end());
    size_t at = 0;
    while (!is_over() && stream_.size() - at >= kHeaderOctets) {
      const size_t length = size_t{stream_[at + 1]} << 8 | stream_[at + 2];
      if (stream_.size() - at - kHeaderOctets < length) break;
      counters().messages_down.add();
      on_record(stream_[at], Octets(stream_).subspan(at + kHeaderOctets, length), now);
      at += kHeaderOctets + length;
    }
    stream_.erase(stream_.begin(), stream_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  void dtmf(char digit, std::chrono::milliseconds, Instant) override {
    if (is_over() || !is_started()) return;
    const auto octet = static_cast<uint8_t>(digit);
    send(kDigit, Octets(&octet, 1), VoiceSink::Send::control);
  }

 private:
  void send(uint8_t type, Octets payload, VoiceSink::Send kind) {
    record_.assign({type, static_cast<uint8_t>(payload.size() >> 8),
                    static_cast<uint8_t>(payload.size() & 0xFF)});
    record_.insert(record_.end(), payload.begin(), payload.end());
    sink().send_binary(record_, kind);
  }

  void send_frame(Samples samples, Instant) override {
    const auto row =
        std::find_if(std::begin(kAudioTypes), std::end(kAudioTypes),
                     [&](const AudioType& known) { return known.rate_hz == profile().rate_hz; });
    if (row == std::end(kAudioTypes)) return;
    octets_.clear();
    append_s16le(octets_, samples);
    counters().frames_up.add();
    send(row->type, octets_, VoiceSink::Send::audio);
  }

  void on_record(uint8_t type, Octets payload, Instant now) {
    if (type == kHangUp) return wind_up(now);
    if (type == kError) {
      const int code = payload.empty() ? 0 : payload[0];
      return fail(VoiceError::endpoint_refusal, fmt::format("error record, code {}", code));
    }
    const auto row = std::find_if(std::begin(kAudioTypes), std::end(kAudioTypes),
                                  [&](const AudioType& known) { return known.type == type; });
    if (row == std::end(kAudioTypes) || payload.size() % 2 != 0) return ignore_message();
    S16leReader reader;
    play(reader.read(payload), row->rate_hz);
  }

  void take_leave(Instant) override {
    if (is_started()) send(kHangUp, {}, VoiceSink::Send::control);
    finish(1000, "");
  }
  bool is_orderly(const Closure& closure) const override { return is_normal(closure); }

  std::vector<uint8_t> stream_;  // less than one record
  std::vector<uint8_t> record_, octets_;
};

}  // namespace

std::unique_ptr<VoiceDriver> make_audiosocket_driver(const VoiceProfile& profile,
                                                     const VoiceCall& call, VoiceSink& sink,
                                                     VoiceCounters& counters) {
  return std::make_unique<AudiosocketDriver>(profile, call, sink, counters);
}

}  // namespace relay
