// The two kinds of run: calls with media, and commands alone.
#pragma once

#include "relay/base/result.h"
#include "tools/rtpp-load/load_options.h"

namespace relay::tools {

// An error means that the run could not begin; failed calls are in the report. SIGINT and SIGTERM
// end the run early, with the calls deleted and a report of what was.
Result<LoadReport> run_calls(const LoadOptions& options);
Result<LoadReport> run_commands(const LoadOptions& options);

}  // namespace relay::tools
