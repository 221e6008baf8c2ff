// What prompts are made of: payload of one type, and how it is cut into packets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "relay/media/codec.h"

namespace relay {

// As rtpproxy's, unless the other party's `z` says otherwise.
inline constexpr uint16_t kPromptPacketMs = 10;
// A packet holds no more, whatever `z` says: it has to pass networks unfragmented.
inline constexpr size_t kPromptPacketBytesMax = 1400;

// Never changes; all who play it share it.
struct PromptAudio {
  AudioCodec codec = AudioCodec::pcmu;  // one with a static payload type and whole units
  std::vector<std::byte> payload;
};

struct PromptPacket {
  size_t bytes = 0;
  uint16_t ms = 0;
};
// `asked_ms` raised to whole units, as far as they fit.
PromptPacket prompt_packet(AudioCodec codec, uint32_t asked_ms);

// Nothing for those that a prompt cannot be in.
std::optional<AudioCodec> prompt_codec(uint8_t payload_type);

}  // namespace relay
