// The voice thread: one libuv loop that owns all connections to endpoints, and what else concerns
// audio to and from them.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "relay/base/result.h"
#include "relay/voice/link.h"
#include "relay/voice/media_path.h"
#include "relay/voice/voice_loop.h"

struct uv_async_s;

namespace relay {

struct VoiceLimits {
  size_t sessions_max = 100;
  size_t starts_per_minute = 60;
};

// Of the last 60 s no more than so many. A bucket that refills would let twice as many through in
// the first minute, and endpoints count by the minute.
class StartLimiter {
 public:
  bool admit(size_t per_minute, Instant now);

 private:
  std::deque<Instant> starts_;
};

class VoiceThread final : public VoiceWaker {
 public:
  static Result<std::unique_ptr<VoiceThread>> start(
      const VoiceLimits& limits, Resolver::Lookup look_up = &Resolver::by_getaddrinfo);
  // Runs what has been posted, then stops, also while host names are being looked up. Requires: a
  // task before has ended all links and timers.
  ~VoiceThread() override;

  // --- any thread ---
  // Runs `task` in the voice thread, in the order posted. False: too much is waiting; nothing is
  // done.
  bool post(std::function<void()> task) { return loop_.post(std::move(task)); }
  // Has the handler of on_wake() called soon, at least once; cheap, never waits.
  void wake() override;
  // Live as long as the thread; of a profile that is gone, too.
  VoiceCounters& counters_of(const std::string& profile);

  // --- voice thread only ---
  VoiceLoop& loop() { return loop_; }
  void on_wake(std::function<void()> handler) { on_wake_ = std::move(handler); }
  void set_limits(const VoiceLimits& limits) { limits_ = limits; }
  size_t sessions() const { return static_cast<size_t>(slots_.use_count()) - 1; }
  // Above a limit the link ends with `busy` on the loop's next turn. See VoiceLink for the rest.
  std::unique_ptr<VoiceLink> open(std::shared_ptr<const VoiceProfile> profile,
                                  const VoiceCall& call, VoiceListener& listener);
  // Destroys the link on the loop's next turn; from anywhere, also inside of its listener. The
  // listener must live that long.
  void release(std::unique_ptr<VoiceLink> link);

 private:
  VoiceThread(const VoiceLimits& limits, Resolver::Lookup look_up);

  VoiceLoop loop_;
  VoiceLimits limits_;
  StartLimiter starts_;
  std::shared_ptr<int> slots_ = std::make_shared<int>(0);
  std::function<void()> on_wake_;
  std::vector<std::unique_ptr<VoiceLink>> released_;
  std::unique_ptr<VoiceTimer> release_;
  uv_async_s* woken_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<VoiceCounters>> counters_;  // under mutex_
  std::thread thread_;
};

}  // namespace relay
