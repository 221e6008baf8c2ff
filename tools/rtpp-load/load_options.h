// What a run of rtpp-load is asked to do, and what came of it.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "tools/common/control_address.h"
#include "tools/rtpp-load/media_engine.h"
#include "tools/rtpp-load/signalling.h"
#include "tools/rtpp-load/system_usage.h"

namespace relay::tools {

struct LoadOptions {
  ControlAddress socket;
  bool ng = false;  // rtpengine's protocol instead of rtpproxy's
  SignallingSettings signalling;
  uint32_t calls = 100;
  double duration_s = 10;
  double rate_per_s = 100;        // new calls
  double hold_s = 0;              // mean; then another call takes the place. Zero: until the end
  uint32_t reinvite_percent = 0;  // of the calls: phone A moves and says so
  bool poisson = false;           // new calls come at random, not evenly
  MediaProfile profile = MediaProfile::g711;
  int ptime_ms = 0;  // zero: the profile's
  int payload_bytes = 160;
  PhoneSettings phones;
  int threads = 1;
  bool control_only = false;
  uint32_t in_flight = 16;
  uint32_t standing = 0;  // calls that are up while others come and go, with control_only
  std::vector<int> pids;
  bool progress = false;
};

// A stretch of time in which all calls were up, and what it cost.
struct MeasuredWindow {
  double seconds = 0;
  uint64_t sent = 0;
  uint64_t arrived = 0;
  uint64_t commands = 0;
  std::optional<Duration> relay_cpu;  // with --pid
  Duration machine_busy{};
  Duration machine_softirq{};
  Duration own_cpu{};
};

struct ResidentMemory {
  uint64_t before_kib = 0;
  uint64_t peak_kib = 0;  // with all calls up, at the end of the window
  uint64_t after_kib = 0;
};

// Calls that were set up at first, as fast as the relay answers, and stayed.
struct StandingCalls {
  double seconds = 0;
  SignallingCounters signalling;
};

struct LoadReport {
  uint32_t calls_up = 0;
  uint32_t calls_failed = 0;
  uint32_t calls_replaced = 0;
  uint32_t reinvites = 0;
  std::string first_error;
  bool interrupted = false;
  MediaCounters media;
  MediaTimes times;
  SignallingCounters signalling;
  MeasuredWindow window;
  std::optional<ResidentMemory> memory;   // with --pid
  std::optional<StandingCalls> standing;  // with --standing
};

// Packets of the relay's work: those that came out of it.
std::optional<double> relay_us_per_packet(const MeasuredWindow& window);
// Everything the machine did but the generator itself.
std::optional<double> machine_us_per_packet(const MeasuredWindow& window);

}  // namespace relay::tools
