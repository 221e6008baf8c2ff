// A profile ready for use: its files and secrets read. Immutable; a reload makes new ones, and
// running dialogues keep theirs.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "relay/base/result.h"
#include "relay/config/voice_config.h"
#include "relay/voice/driver.h"

namespace relay {

class TlsContext;

struct VoiceProfile : VoiceProfileConfig {
  std::vector<HttpHeader> headers;  // secrets filled in; ${call_id} and its like still to be
  std::string session_template;     // of template_file; empty: the driver's own
  std::string signature_secret;     // of signature_key
  std::shared_ptr<const TlsContext> tls_context;
};

using VoiceProfiles = std::map<std::string, std::shared_ptr<const VoiceProfile>, std::less<>>;

// Reads templates, secrets and certificates. The error names the profile's line, the key, and what
// is wrong with the file; never a secret. Blocks on files.
Result<std::shared_ptr<const VoiceProfile>> load_voice_profile(const VoiceProfileConfig& config);
Result<VoiceProfiles> load_voice_profiles(const VoiceConfig& config);

}  // namespace relay
