// Which codec a party's payload type numbers stand for. The control protocol names numbers only;
// the static ones are RFC 3551's, the others are the operator's to say. A value.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "relay/base/result.h"
#include "relay/config/voice_config.h"
#include "relay/media/codec.h"

namespace relay {

class PayloadTypes {
 public:
  enum class Meaning : uint8_t { unknown, audio, telephone_event, comfort_noise };

  // Static types, 13 as comfort noise (RFC 3389), 101 as telephone-event, which is what nearly
  // every phone picks, and 111 as Opus, as WebRTC has it.
  PayloadTypes();

  // `encoding` as an rtpmap of SDP has it (RFC 8866 §6.6): NAME[/CLOCK[/CHANNELS]], or `none`.
  Result<void> set(uint8_t payload_type, std::string_view encoding);

  Meaning meaning_of(uint8_t payload_type) const { return entry(payload_type).meaning; }
  // --- require: the meaning is audio ---
  AudioCodec codec_of(uint8_t payload_type) const { return entry(payload_type).codec; }
  // Of RTP timestamps; of telephone-events, too.
  uint32_t clock_rate_hz(uint8_t payload_type) const { return entry(payload_type).clock_rate_hz; }
  // That it is decoded to and encoded from here, in a dialogue of `wide` audio or less.
  uint32_t sample_rate_hz(uint8_t payload_type, bool wide = true) const;

  bool can_speak(std::string_view offered) const;

  // What is known of a party. Lists are payload types as bytes, most wanted first.
  struct Known {
    std::string_view asked;        // whoever wants it spoken to says so
    std::optional<uint8_t> heard;  // it sends this itself
    std::string_view offered;      // its SDP
  };
  // What to speak to it in: what was asked for, as far as it offered that, and of it what it
  // sends itself; else what it sends; else what it offered; else PCMU, as everybody does.
  uint8_t choose(const Known& known) const;

 private:
  struct Entry {
    Meaning meaning = Meaning::unknown;
    AudioCodec codec = AudioCodec::pcmu;
    uint32_t clock_rate_hz = 8000;
  };
  bool is_audio(uint8_t payload_type) const { return meaning_of(payload_type) == Meaning::audio; }
  const Entry& entry(uint8_t payload_type) const { return entries_[payload_type & 0x7F]; }

  std::array<Entry, 128> entries_;
};

// With what the operator says; the error names the line.
Result<PayloadTypes> make_payload_types(const VoiceConfig& config);

}  // namespace relay
