// A profile ready for use: its files and secrets read. Immutable; a reload makes new ones, and
// running dialogues keep theirs.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/result.h"
#include "relay/config/voice_config.h"
#include "relay/voice/driver.h"

namespace relay {

struct VoiceProfile : VoiceProfileConfig {
  std::vector<HttpHeader> headers;  // secrets filled in; ${call_id} and its like still to be
  std::string session_template;     // of template_file; empty: the driver's own
  std::string signature_secret;     // of signature_key
};

}  // namespace relay
