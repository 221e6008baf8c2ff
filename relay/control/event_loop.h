// The control thread's event loop: descriptors, timers, signals and tasks from other threads, as
// owners over libevent. Everything here belongs to the thread that calls run(), except post().
//
// Lifetimes: events are destroyed before the loop they belong to. A callback may destroy the event
// that called it. Create the loop after daemonising: epoll does not survive fork(2).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "relay/base/clock.h"
#include "relay/base/result.h"
#include "relay/base/unique_fd.h"

struct event_base;

namespace relay {

class EventLoop;

// One registration with the loop; what FdEvent, Timer and signals are made of.
class LoopEvent {
 public:
  using Callback = std::function<void()>;

  LoopEvent(EventLoop& loop, int fd, short flags, Callback callback);
  ~LoopEvent();
  LoopEvent(const LoopEvent&) = delete;
  LoopEvent& operator=(const LoopEvent&) = delete;

  // False when the kernel cannot watch this descriptor; epoll refuses regular files.
  bool start(const Duration* timeout);
  void stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

enum class FdReady : uint8_t { readable, writable };

// Calls back as long as the descriptor is ready (level-triggered). Does not own the descriptor,
// which must be closed only after this is gone. Starts inactive.
class FdEvent {
 public:
  FdEvent(EventLoop& loop, int fd, FdReady when, LoopEvent::Callback callback);

  bool start();
  void stop();

 private:
  LoopEvent event_;
};

// Starts inactive; starting again replaces what was running.
class Timer {
 public:
  Timer(EventLoop& loop, LoopEvent::Callback callback);

  void start_once(Duration delay);
  void start_repeating(Duration interval);
  void stop();

 private:
  LoopEvent once_, repeating_;
};

class EventLoop {
 public:
  // Also makes SIGPIPE ignored: a peer that went away is an error value of write(2).
  static Result<std::unique_ptr<EventLoop>> create();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Returns after stop(); at once when stop() came first.
  void run();
  // Waits for something to happen, handles what is ready, returns.
  void run_once();
  // From this thread; others post() it.
  void stop();

  // Runs `task` on the loop's thread, in the order posted. Any thread; tasks not yet run when the
  // loop is destroyed are dropped.
  void post(std::function<void()> task);

  // Replaces the default action of signal `number` for the life of the loop.
  Result<void> add_signal(int number, LoopEvent::Callback callback);

  event_base* base() { return base_; }

 private:
  EventLoop(event_base* base, UniqueFd wake_up);
  void run_posted();

  event_base* base_;
  bool stop_requested_ = false;
  UniqueFd wake_up_;
  std::mutex posted_mutex_;
  std::vector<std::function<void()>> posted_;
  std::unique_ptr<FdEvent> wake_up_event_;
  std::vector<std::unique_ptr<LoopEvent>> signals_;
};

}  // namespace relay
