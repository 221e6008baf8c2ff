#include "relay/media/prompt_audio.h"

#include <algorithm>

namespace relay {

PromptPacket prompt_packet(AudioCodec codec, uint32_t asked_ms) {
  const CodecTraits& traits = traits_of(codec);
  const size_t units_max = kPromptPacketBytesMax / traits.unit_bytes;
  const size_t units =
      std::clamp<size_t>((asked_ms + traits.unit_ms - 1) / traits.unit_ms, 1, units_max);
  return {units * traits.unit_bytes, static_cast<uint16_t>(units * traits.unit_ms)};
}

std::optional<AudioCodec> prompt_codec(uint8_t payload_type) {
  const auto codec = codec_of_payload_type(payload_type);
  return codec && traits_of(*codec).unit_bytes != 0 ? codec : std::nullopt;
}

}  // namespace relay
