// rtpproxy's --config file: UCL, of which `modules { NAME { load = PATH; key = value } }` means
// something. It becomes the settings that stand for those modules here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "relay/base/result.h"
#include "relay/config/setting.h"

namespace relay {

// Whether `text` is such a file; the TOML files of this relay never are.
bool is_rtpproxy_text(std::string_view text);

// As read_toml_text().
Result<std::vector<Setting>> read_rtpproxy_text(std::string_view text, const std::string& name);

}  // namespace relay
