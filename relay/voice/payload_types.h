// Which codec a party's payload type numbers stand for. The control protocol names numbers only;
// the static ones are RFC 3551's, the others are the operator's to say.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "relay/media/codec.h"

namespace relay {

class PayloadTypes {
 public:
  enum class Meaning : uint8_t { unknown, audio, telephone_event, comfort_noise };

  // Static types, 13 as comfort noise (RFC 3389), and 101 as telephone-event, which is what nearly
  // every phone picks.
  PayloadTypes();

  void set_audio(uint8_t payload_type, AudioCodec codec);
  void set_telephone_event(uint8_t payload_type);

  Meaning meaning_of(uint8_t payload_type) const { return entry(payload_type).meaning; }
  // Requires: the meaning is audio.
  AudioCodec codec_of(uint8_t payload_type) const { return entry(payload_type).codec; }

  // The first of `offered` (payload types as bytes, most wanted first) that can be spoken here.
  std::optional<uint8_t> first_speakable(std::string_view offered) const;

 private:
  struct Entry {
    Meaning meaning = Meaning::unknown;
    AudioCodec codec = AudioCodec::pcmu;
  };
  const Entry& entry(uint8_t payload_type) const { return entries_[payload_type & 0x7F]; }

  std::array<Entry, 128> entries_;
};

}  // namespace relay
