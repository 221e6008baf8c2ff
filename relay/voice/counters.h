// What happened to the voice sessions of one profile since start. The voice thread writes, any
// thread reads.
#pragma once

#include "relay/base/published.h"

namespace relay {

struct VoiceCounters {
#define VOICE_COUNTER(name, meaning) Counter name;
#include "relay/voice/voice_counter.def"
#undef VOICE_COUNTER
};

struct VoiceCounterRow {
  const char* name;
  const char* meaning;
  Counter VoiceCounters::*value;
};

inline constexpr VoiceCounterRow kVoiceCounterRows[] = {
#define VOICE_COUNTER(name, meaning) {#name, meaning, &VoiceCounters::name},
#include "relay/voice/voice_counter.def"
#undef VOICE_COUNTER
};

}  // namespace relay
