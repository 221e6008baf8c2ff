// G.711 and L16: each sample stands alone.
#pragma once

#include "relay/media/codec.h"

namespace relay {

std::unique_ptr<AudioDecoder> make_pcmu_decoder();
std::unique_ptr<AudioDecoder> make_pcma_decoder();
std::unique_ptr<AudioDecoder> make_l16_decoder(uint32_t sample_rate_hz);
std::unique_ptr<AudioEncoder> make_pcmu_encoder();
std::unique_ptr<AudioEncoder> make_pcma_encoder();
std::unique_ptr<AudioEncoder> make_l16_encoder(uint32_t sample_rate_hz);

}  // namespace relay
