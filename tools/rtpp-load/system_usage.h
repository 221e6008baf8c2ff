// Processor time and memory as /proc tells them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/clock.h"
#include "relay/base/result.h"

namespace relay::tools {

// Of processes with all their threads, those that ended included.
struct ProcessUsage {
  Duration cpu{};  // user and system
  uint64_t resident_kib = 0;
};

// Of all processors together, since boot.
struct MachineUsage {
  Duration busy{};     // everything but idle and waiting for I/O
  Duration softirq{};  // of that, network work outside of any process
};

// The sum over `pids`; an error names the one that is not there.
Result<ProcessUsage> read_process_usage(const std::vector<int>& pids);
Result<MachineUsage> read_machine_usage();
Duration own_cpu();

// The texts of /proc/PID/stat and /proc/stat; ticks as sysconf(_SC_CLK_TCK) counts them.
Result<ProcessUsage> parse_process_stat(std::string_view text, long ticks_a_second,
                                        uint64_t page_kib);
Result<MachineUsage> parse_machine_stat(std::string_view text, long ticks_a_second);

}  // namespace relay::tools
