// Values of [voice] that are chosen by name.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "relay/config/check.h"
#include "relay/config/voice_config.h"

namespace relay {

template <typename T>
using VoiceChoice = std::pair<std::string_view, T>;

inline constexpr VoiceChoice<VoicePolicy> kVoicePolicies[] = {
    {"tee", VoicePolicy::tee},
    {"replace", VoicePolicy::replace},
    {"mute-other", VoicePolicy::mute_other},
    {"mix", VoicePolicy::mix},
    {"whisper", VoicePolicy::whisper}};
inline constexpr VoiceChoice<bool> kYesOrNo[] = {{"yes", true}, {"no", false}};

template <typename T, typename V, size_t count>
Status choose(V& value, const Setting& setting, const VoiceChoice<T> (&choices)[count]) {
  std::string names;
  for (const auto& [name, choice] : choices) {
    if (setting.value == name) {
      value = choice;
      return {};
    }
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return refuse(setting, "expected one of " + names);
}

}  // namespace relay
