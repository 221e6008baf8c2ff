// Overload protection: says when new sessions must be refused so that running ones stay good.
// Control thread; fed once a second.
#pragma once

#include <cstddef>

#include "relay/base/clock.h"

namespace relay {

struct OverloadSettings {
  bool enabled = false;
  unsigned cpu_percent_max = 90;  // of all CPUs the process may use
  size_t sessions_max = 0;        // 0: no bound; holds also while not `enabled`
};

class OverloadGuard {
 public:
  explicit OverloadGuard(const OverloadSettings& settings) : settings_(settings) {}
  void set(const OverloadSettings& settings) { settings_ = settings; }

  // `cpu_time` is the process's user and system time since start (getrusage), `cpus` how many it
  // may use.
  void sample(Duration cpu_time, unsigned cpus, Instant now);
  // Above the bound; ends only well below it, so that it does not flap.
  bool overloaded() const { return settings_.enabled && overloaded_; }
  bool refuses(size_t sessions) const;
  double cpu_percent() const { return cpu_percent_; }

 private:
  OverloadSettings settings_;
  Duration last_cpu_time_{0};
  Instant last_sample_{};
  double cpu_percent_ = 0;
  bool overloaded_ = false;
};

}  // namespace relay
