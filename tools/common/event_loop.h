// One libuv loop and what the tools hang on it. Everything here belongs to the thread that calls
// run(). This folder is the only one that includes <uv.h>.
#pragma once

#include <functional>

#include "relay/base/clock.h"

struct uv_loop_s;
struct uv_timer_s;
struct uv_signal_s;

namespace relay::tools {

class EventLoop {
 public:
  EventLoop();
  // Requires: all timers, watchers and clients on this loop are gone.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Until stop().
  void run();
  void stop();
  // For the other files of this folder.
  uv_loop_s* native() { return loop_; }

 private:
  uv_loop_s* loop_;
};

// Calls back on the loop's thread; not after its destruction.
class Timer {
 public:
  Timer(EventLoop& loop, std::function<void()> fired);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Millisecond resolution, rounded up. `repeat` of zero: once.
  void start(Duration after, Duration repeat = Duration::zero());
  void stop();
  bool armed() const;

 private:
  uv_timer_s* timer_;
  std::function<void()> fired_;
};

// Calls `arrived` for each of SIGINT and SIGTERM.
class StopSignals {
 public:
  StopSignals(EventLoop& loop, std::function<void()> arrived);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  uv_signal_s* signals_[2];
  std::function<void()> arrived_;
};

}  // namespace relay::tools
