// The voice thread's loop, and timers on it. Loop thread only.
#pragma once

#include <functional>

#include "relay/base/clock.h"

struct uv_loop_s;
struct uv_timer_s;

namespace relay {

class VoiceLoop {
 public:
  VoiceLoop();
  // Requires: all timers and connections on this loop are gone. Lets libuv close what is left.
  ~VoiceLoop();
  VoiceLoop(const VoiceLoop&) = delete;
  VoiceLoop& operator=(const VoiceLoop&) = delete;

  void run();  // until stop()
  void stop();
  // For what else hangs on the loop; only relay/voice includes <uv.h>.
  uv_loop_s* native() { return loop_; }

 private:
  uv_loop_s* loop_;
};

// Calls back on the loop; not after its destruction, which may happen inside the callback.
class VoiceTimer {
 public:
  VoiceTimer(VoiceLoop& loop, std::function<void()> fired);
  ~VoiceTimer();
  VoiceTimer(const VoiceTimer&) = delete;
  VoiceTimer& operator=(const VoiceTimer&) = delete;

  // Milliseconds, rounded up. A `repeat` of zero: once.
  void start(Duration after, Duration repeat = Duration::zero());
  void stop();

 private:
  uv_timer_s* timer_;
  std::function<void()> fired_;
};

}  // namespace relay
