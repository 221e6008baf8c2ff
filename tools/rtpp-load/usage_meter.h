// Takes the readings at both ends of a measured window and of the relay's memory.
#pragma once

#include <vector>

#include "relay/base/clock.h"
#include "tools/rtpp-load/load_options.h"

namespace relay::tools {

class UsageMeter {
 public:
  explicit UsageMeter(std::vector<int> pids) : pids_(std::move(pids)) {}

  // Fails when one of the processes is not there.
  Result<void> check() const;
  void begin(const MediaCounters& media, uint64_t commands);
  MeasuredWindow end(const MediaCounters& media, uint64_t commands) const;
  uint64_t resident_kib() const;
  bool has_pids() const { return !pids_.empty(); }

 private:
  struct Reading {
    Instant at{};
    MediaCounters media;
    uint64_t commands = 0;
    ProcessUsage relay;
    MachineUsage machine;
    Duration own{};
  };
  Reading read(const MediaCounters& media, uint64_t commands) const;

  const std::vector<int> pids_;
  Reading begin_;
};

}  // namespace relay::tools
