// The text of -s, -n and --hep as values.
#pragma once

#include "relay/config/check.h"
#include "relay/config/config.h"

namespace relay {

inline constexpr uint16_t kControlPortDefault = 22222;

Result<ControlSocketConfig> parse_control_socket(const Setting& setting, bool numeric_only);

// tcp:%%CC_SELF%%:PORT, the address the control command came from.
bool is_wildcard_notify_target(std::string_view text);
Result<NotifyTargetConfig> parse_notify_target(const Setting& setting, bool numeric_only);

Result<HepCollectorConfig> parse_hep_collector(const Setting& setting, bool numeric_only);

}  // namespace relay
