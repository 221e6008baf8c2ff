// Why a call is relayed the way it is: `J session` in sentences.
#pragma once

#include <string>
#include <string_view>

#include "relay/base/result.h"

namespace relay::tools {

// What the relay leaves out is left out, or a dash. An error: it is no reply to `J session`.
Result<std::string> explain_session(std::string_view json);

}  // namespace relay::tools
