// A WAV file as the payload of a codec, to be sent as a prompt. Control thread: a minute of audio
// takes some milliseconds, G.729 more.
#pragma once

#include <cstddef>
#include <vector>

#include "relay/base/result.h"
#include "relay/media/codec.h"

namespace relay {

// Longer ones are refused: encoding keeps whoever asks for it waiting.
inline constexpr unsigned kWavSecondsMax = 600;

// Mono or stereo (mixed down) of any rate from 4000 to 192000 Hz. The descriptor stays open.
Result<std::vector<std::byte>> encode_wav(int file, AudioCodec codec);

}  // namespace relay
