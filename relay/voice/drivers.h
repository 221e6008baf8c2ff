// The constructors of the drivers, each in a file of its own.
#pragma once

#include <memory>

#include "relay/voice/driver.h"

namespace relay {

using MakeVoiceDriver = std::unique_ptr<VoiceDriver>(const VoiceProfile&, const VoiceCall&,
                                                     VoiceSink&, VoiceCounters&);

MakeVoiceDriver make_twilio_driver;

}  // namespace relay
