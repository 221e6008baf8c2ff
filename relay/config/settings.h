// From settings to the checked configuration.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "relay/config/check.h"
#include "relay/config/config.h"

namespace relay {

inline constexpr std::string_view kControlSocketDefault = "unix:/run/rtpp-relay.sock";
inline constexpr std::string_view kRtpproxySocketDefault = "unix:/var/run/rtpproxy.sock";
inline constexpr std::string_view kPidFileDefault = "/run/rtpp-relay.pid";
inline constexpr std::string_view kRtpproxyPidFileDefault = "/var/run/rtpproxy.pid";

// Those of `file`, and over them those of `command_line`: a setting given there replaces the
// file's, a list or the media addresses as a whole; modules add up.
std::vector<Setting> merge_settings(std::vector<Setting> file,
                                    const std::vector<Setting>& command_line);

struct ProcessFacts {
  bool called_as_rtpproxy = false;
  bool superuser = false;  // effective user id 0
};

// Checks each setting and then what they mean together. Looks up users, groups and, unless
// --no_resolve is among the settings, host names.
Result<Config> build_config(const std::vector<Setting>& settings, const ProcessFacts& process);

// Only the settings that may change at run time; the rest is skipped unchecked, and is as
// `running`.
Result<RuntimeConfig> build_runtime(const std::vector<Setting>& settings,
                                    const StartupConfig& running);

bool is_runtime_setting(OptionId option);

}  // namespace relay
