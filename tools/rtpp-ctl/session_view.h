// One call as `J session` tells it, laid out for a person. What the relay leaves out is a dash.
#pragma once

#include <string>
#include <string_view>

#include "relay/base/result.h"

namespace relay::tools {

Result<std::string> show_session(std::string_view json);

}  // namespace relay::tools
