// G.729 (Annex A, B) through libbcg729, in builds with RELAY_WITH_BCG729: that library is GPL.
#pragma once

#include "relay/media/codec.h"

namespace relay {

bool has_g729();
Result<std::unique_ptr<AudioDecoder>> make_g729_decoder();
Result<std::unique_ptr<AudioEncoder>> make_g729_encoder(bool voice_activity);

}  // namespace relay
