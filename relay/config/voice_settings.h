// [voice] and [voice.PROFILE], a key at a time.
#pragma once

#include "relay/config/check.h"
#include "relay/config/voice_config.h"

namespace relay {

// `setting.value` is "KEY=VALUE" of [voice] or "PROFILE.KEY=VALUE". A list is one setting a value.
Status set_voice(VoiceConfig& config, const Setting& setting);

// Of the same key of the same profile.
bool is_same_voice_key(const Setting& one, const Setting& other);

// When all have been set: what is missing or does not go together, and the drivers' own defaults.
// `local`: what the rules may name.
Status finish_voice(VoiceConfig& config, const LocalAddresses& local);

}  // namespace relay
