// Monotonic time. `Clock` is a seam: production uses SteadyClock, tests a clock they move by hand.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>

namespace relay {

using Duration = std::chrono::nanoseconds;

// Tag type for time points; CLOCK_MONOTONIC, so a suspended or stepped wall clock moves nothing.
struct MonotonicTime {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicTime>;
  static constexpr bool is_steady = true;
};
using Instant = MonotonicTime::time_point;

inline Instant from_ns(int64_t ns) {
  return Instant(Duration(ns));
}
inline int64_t to_ns(Instant instant) {
  return instant.time_since_epoch().count();
}

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant now() const = 0;
};

inline Instant steady_now() {
  timespec ts{};
  ::clock_gettime(CLOCK_MONOTONIC, &ts);
  return from_ns(int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec);
}

class SteadyClock final : public Clock {
 public:
  Instant now() const override { return steady_now(); }
};

}  // namespace relay
