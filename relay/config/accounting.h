// Call records and rtpproxy's modules: the settings that can be judged only together.
#pragma once

#include <vector>

#include "relay/config/check.h"
#include "relay/config/config.h"

namespace relay {

// `modules` as --dso and rtpproxy's configuration file name them, `collectors` as --hep. Requires:
// the other settings are in `startup`. Relative paths become absolute.
Status finish_accounting(StartupConfig& startup, const std::vector<Setting>& modules,
                         const std::vector<Setting>& collectors);

}  // namespace relay
