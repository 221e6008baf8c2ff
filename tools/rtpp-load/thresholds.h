// What a run must keep to, for the exit status. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/rtpp-load/load_options.h"

namespace relay::tools {

struct Thresholds {
  std::optional<double> loss_percent;
  std::optional<double> delay_p99_us;
  std::optional<double> command_ms;
};

double loss_percent(const MediaCounters& media);
// One sentence for each that was passed, with both figures.
std::vector<std::string> limits_passed(const Thresholds& thresholds, const LoadReport& report);

}  // namespace relay::tools
