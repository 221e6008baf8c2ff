// Settings that choose one of a few words, or name something of the host.
#pragma once

#include "relay/config/check.h"
#include "relay/config/config.h"

namespace relay {

Status set_realtime(StartupConfig& startup, const Setting& setting);
Status set_latch(StartupConfig& startup, const Setting& setting);
Status set_fastpath(StartupConfig& startup, const Setting& setting);
Status set_record_format(StartupConfig& startup, const Setting& setting);
Status set_http(StartupConfig& startup, const Setting& setting);
Status set_fastpath_interface(StartupConfig& startup, const Setting& setting);
Status add_prompt_directory(StartupConfig& startup, const Setting& setting);

}  // namespace relay
