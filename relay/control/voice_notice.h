// What a voice session has told, for people and programs. A value.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "relay/control/json_text.h"
#include "relay/voice/voice_engine.h"

namespace relay {

struct VoiceNotice {
  uint64_t number = 0;  // rises by one
  int64_t wall_ms = 0;  // since 1970
  VoiceId id = 0;
  uint64_t session_serial = 0;  // it may have gone; 0: a test
  std::string call_id, from_tag, profile;
  VoiceReport report;
};

// The same wherever notices are shown.
nlohmann::json to_json(const VoiceNotice& notice);

}  // namespace relay
