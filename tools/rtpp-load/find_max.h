// How many calls a relay carries within limits: runs of rising size until one breaks them.
#pragma once

#include <string>
#include <vector>

#include "relay/base/result.h"
#include "tools/rtpp-load/thresholds.h"

namespace relay::tools {

struct FoundMax {
  struct Try {
    uint32_t calls = 0;
    std::vector<std::string> broken;  // none: the limits were kept
    LoadReport report;
  };
  std::vector<Try> tries;
  uint32_t calls = 0;    // the most that kept to the limits; zero: none
  bool no_room = false;  // more did not fit into this process
  bool interrupted = false;
};

// Begins with options.calls. Limits that are not given: 0.1 % lost, and 20 ms for the delay's p99.
Result<FoundMax> find_max(const LoadOptions& options, Thresholds thresholds);
std::string found_max_table(const FoundMax& found);
std::string found_max_json(const LoadOptions& options, const FoundMax& found);

}  // namespace relay::tools
