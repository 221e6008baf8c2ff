// The text of -n and --notify-all as values.
#pragma once

#include <optional>
#include <vector>

#include "relay/config/check.h"
#include "relay/config/config.h"

namespace relay {

// What stands for the host that a command came from.
inline constexpr std::string_view kNotifySelfHost = "%%CC_SELF%%";

// Names are looked up, unless `numeric_only`; relative paths become absolute.
Result<NotifyTargetConfig> parse_notify_target(const Setting& setting, bool numeric_only);

// Fills notify_targets and notify_all. Needs `startup.numeric_only`.
Status set_notify_targets(StartupConfig& startup, const std::vector<Setting>& targets,
                          const std::optional<Setting>& all);

}  // namespace relay
