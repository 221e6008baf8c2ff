// The voice thread's loop, and timers on it. Loop thread only, but for post().
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "relay/base/clock.h"
#include "relay/base/resolver.h"

struct uv_async_s;
struct uv_loop_s;
struct uv_timer_s;

namespace relay {

class VoiceLoop {
 public:
  static constexpr size_t kTasksMax = 4096;

  explicit VoiceLoop(Resolver::Lookup look_up = &Resolver::by_getaddrinfo);
  // Requires: all timers and connections on this loop are gone. Lets libuv close what is left.
  ~VoiceLoop();
  VoiceLoop(const VoiceLoop&) = delete;
  VoiceLoop& operator=(const VoiceLoop&) = delete;

  void run();  // until stop()
  void stop();
  Resolver& resolver() { return *resolver_; }

  // --- any thread ---
  // Runs `task` on the loop, in the order posted. False: too much is waiting; nothing is done.
  bool post(std::function<void()> task);
  // stop(), once all that has been posted before has run.
  void post_stop();

  // For what else hangs on the loop; only relay/voice includes <uv.h>.
  uv_loop_s* native() { return loop_; }

 private:
  void run_tasks();

  uv_loop_s* loop_;
  uv_async_s* posted_;
  std::mutex mutex_;
  std::deque<std::function<void()>> tasks_;  // under mutex_
  std::unique_ptr<Resolver> resolver_;
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
