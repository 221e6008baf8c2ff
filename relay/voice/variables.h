// ${NAME} in operators' texts: headers, URLs, JSON templates.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>
#include <vector>

#include "relay/base/result.h"
#include "relay/voice/driver.h"

namespace relay {

// The value of ${NAME}: call_id, caller, callee, session_id, or var.NAME for a variable of the
// call. Empty if the call does not have it.
std::string_view variable(const VoiceCall& call, std::string_view name);

// Whether every ${NAME} in `text` is closed and known; the error names the one that is not.
Result<void> check_variables(std::string_view text);

// Headers: control characters, which would start another header, become `_`.
std::string substitute_in_header(std::string_view text, const VoiceCall& call);
// URLs: what is not unreserved (RFC 3986 §2.3) is percent-encoded.
std::string substitute_in_url(std::string_view text, const VoiceCall& call);
// Plain.
std::string substitute(std::string_view text, const VoiceCall& call);
// In every string of a JSON document, so quoting is never in question.
void substitute_in_json(nlohmann::json& document, const VoiceCall& call);

// ${env:NAME} and ${file:PATH} become the secrets they name (of a file: the first line). Other
// variables stay. The error names the variable, never a secret.
Result<std::string> read_secrets(std::string_view text);

}  // namespace relay
