// The constructors of the drivers, each in a file of its own.
#pragma once

#include <memory>

#include "relay/voice/driver.h"

namespace relay {

using MakeVoiceDriver = std::unique_ptr<VoiceDriver>(const VoiceProfile&, const VoiceCall&,
                                                     VoiceSink&, VoiceCounters&);

MakeVoiceDriver make_twilio_driver;
MakeVoiceDriver make_doubao_v1_driver;
MakeVoiceDriver make_doubao_v3_driver;
MakeVoiceDriver make_l16_driver;
MakeVoiceDriver make_openai_driver;
MakeVoiceDriver make_audiosocket_driver;

}  // namespace relay
