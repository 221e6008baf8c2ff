// Whether packets come so densely that a worker had better let some gather: then waking it for
// each costs more than the packet's own work, as with a network card's interrupts.
#pragma once

#include <cstdint>

#include "relay/base/clock.h"

namespace relay {

class Coalescer {
 public:
  // `pause` 0: never.
  explicit Coalescer(Duration pause) : pause_(pause) {}

  // After a round that received `packets`, the last of them at `now`: how long not to look. The
  // rate is that of the last few milliseconds, so a pause never waits for packets that have ended.
  Duration pause_after(uint64_t packets, Instant now) {
    packets_ += packets;
    const Duration elapsed = now - since_;
    if (elapsed < kWindow) return is_dense_ ? pause_ : Duration{};
    is_dense_ = pause_ * packets_ >= kPacketsAPause * elapsed;
    since_ = now;
    packets_ = 0;
    return is_dense_ ? pause_ : Duration{};
  }

 private:
  static constexpr Duration kWindow = std::chrono::milliseconds(4);
  // Fewer are not worth the timer.
  static constexpr int kPacketsAPause = 2;

  const Duration pause_;
  Instant since_{};
  uint64_t packets_ = 0;
  bool is_dense_ = false;
};

}  // namespace relay
