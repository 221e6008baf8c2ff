// G.722 at 64 kbit/s and GSM 06.10 full rate, through libspandsp.
#pragma once

#include "relay/media/codec.h"

namespace relay {

// `sample_rate_hz` is 8000 or 16000.
std::unique_ptr<AudioDecoder> make_g722_decoder(uint32_t sample_rate_hz);
std::unique_ptr<AudioDecoder> make_gsm_decoder();
std::unique_ptr<AudioEncoder> make_g722_encoder(uint32_t sample_rate_hz);
std::unique_ptr<AudioEncoder> make_gsm_encoder();

}  // namespace relay
