// A run's report for a person and for a program.
#pragma once

#include <string>

#include "tools/rtpp-load/load_options.h"

namespace relay::tools {

std::string report_table(const LoadOptions& options, const LoadReport& report);
// One JSON object, one line. Names end in their unit.
std::string report_json(const LoadOptions& options, const LoadReport& report);

}  // namespace relay::tools
