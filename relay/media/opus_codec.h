// Opus (RFC 6716, RFC 7587) through libopus, decoded to and encoded from one channel at any of its
// rates.
#pragma once

#include "relay/media/codec.h"

namespace relay {

Result<std::unique_ptr<AudioDecoder>> make_opus_decoder(uint32_t sample_rate_hz);
Result<std::unique_ptr<AudioEncoder>> make_opus_encoder(uint32_t sample_rate_hz);

}  // namespace relay
