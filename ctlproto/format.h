// A Request back to text, in one canonical spelling: for tools and logs. Pure; any thread.
#pragma once

#include <string>

#include "ctlproto/request.h"

namespace ctlproto {

// Without cookie and line end. parse_request of the result gives `request` back, provided that
// `request` is one the parser could have made (texts without separators, numbers in range).
std::string format_request(const Request& request);

}  // namespace ctlproto
