#include "relay/voice/payload_types.h"

namespace relay {
namespace {

constexpr uint8_t kComfortNoise = 13;
constexpr uint8_t kUsualTelephoneEvent = 101;

}  // namespace

PayloadTypes::PayloadTypes() {
  for (size_t type = 0; type < entries_.size(); ++type) {
    const auto codec = codec_of_payload_type(static_cast<uint8_t>(type));
    if (codec && can_transcode(*codec)) set_audio(static_cast<uint8_t>(type), *codec);
  }
  entries_[kComfortNoise].meaning = Meaning::comfort_noise;
  set_telephone_event(kUsualTelephoneEvent);
}

void PayloadTypes::set_audio(uint8_t payload_type, AudioCodec codec) {
  entries_[payload_type & 0x7F] = {Meaning::audio, codec};
}

void PayloadTypes::set_telephone_event(uint8_t payload_type) {
  entries_[payload_type & 0x7F].meaning = Meaning::telephone_event;
}

std::optional<uint8_t> PayloadTypes::first_speakable(std::string_view offered) const {
  for (const char each : offered) {
    const auto type = static_cast<uint8_t>(each);
    if (meaning_of(type) == Meaning::audio) return type;
  }
  return std::nullopt;
}

}  // namespace relay
