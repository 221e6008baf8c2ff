// A clock that stands still until a test moves it.
#pragma once

#include "relay/base/clock.h"

namespace relay {

class ManualClock final : public Clock {
 public:
  Instant now() const override { return now_; }
  void advance(Duration step) { now_ += step; }
  void set(Instant now) { now_ = now; }

 private:
  // Not the epoch: zero means "never" in several published times.
  Instant now_ = from_ns(1'000'000'000'000);
};

}  // namespace relay
