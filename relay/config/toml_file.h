// The TOML configuration file (rtpp-relay.toml(5)). Unknown keys are errors.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "relay/base/result.h"
#include "relay/config/config.h"

namespace relay {

// A TOML file, or one of rtpproxy's (rtpproxy_file.h). Settings in the file's order, not checked so
// far beyond their type.
Result<std::vector<Setting>> read_config_file(const std::string& path);
// The same for TOML in memory; `name` is what messages call it.
Result<std::vector<Setting>> read_toml_text(std::string_view text, const std::string& name);

// What a reload applies: the runtime settings of the file that `running` names under those of its
// command line. The whole file must be well-formed; changed start-up settings need a restart and
// are not looked at.
Result<RuntimeConfig> load_runtime(const StartupConfig& running);

}  // namespace relay
