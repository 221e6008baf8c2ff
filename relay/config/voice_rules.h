// [[voice.auto]], a key at a time.
#pragma once

#include <string_view>

#include "relay/config/check.h"
#include "relay/config/local_address.h"
#include "relay/config/voice_config.h"

namespace relay {

// What stands in front of a rule's keys, and what no profile may be called.
inline constexpr std::string_view kVoiceRules = "auto";

// `path` is "NUMBER.KEY". A list is one setting a value.
Status set_voice_rule(VoiceConfig& config, std::string_view path, const Setting& setting);

// When all have been set: brings them into the order of the file, and finds what they name.
Status finish_voice_rules(VoiceConfig& config, const LocalAddresses& local);

}  // namespace relay
