#include "relay/voice/voice_thread.h"

#include <pthread.h>
#include <signal.h>

#include "relay/base/assert.h"
#include "relay/voice/uv_handle.h"

namespace relay {

bool StartLimiter::admit(size_t per_minute, Instant now) {
  while (!starts_.empty() && now - starts_.front() >= std::chrono::minutes(1)) {
    starts_.pop_front();
  }
  if (starts_.size() >= per_minute) return false;
  starts_.push_back(now);
  return true;
}

Result<std::unique_ptr<VoiceThread>> VoiceThread::start(const VoiceLimits& limits,
                                                        Resolver::Lookup look_up) {
  std::unique_ptr<VoiceThread> voice(new VoiceThread(limits, std::move(look_up)));
  // Signals are the control thread's.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  VoiceThread* const self = voice.get();
  voice->thread_ = std::thread([self] { self->loop_.run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(voice->thread_.native_handle(), "relay/voice");
  return voice;
}

VoiceThread::VoiceThread(const VoiceLimits& limits, Resolver::Lookup look_up)
    : loop_(std::move(look_up)),
      limits_(limits),
      release_(std::make_unique<VoiceTimer>(loop_, [this] { released_.clear(); })),
      woken_(new uv_async_t) {
  uv_async_init(loop_.native(), woken_, [](uv_async_t* async) {
    auto* self = static_cast<VoiceThread*>(async->data);
    if (self != nullptr && self->on_wake_) self->on_wake_();
  });
  woken_->data = this;
}

VoiceThread::~VoiceThread() {
  loop_.post_stop();
  thread_.join();
  released_.clear();
  release_.reset();
  close_uv_handle(woken_);
}

void VoiceThread::wake() {
  uv_async_send(woken_);
}

VoiceCounters& VoiceThread::counters_of(const std::string& profile) {
  const std::lock_guard lock(mutex_);
  auto& counters = counters_[profile];
  if (counters == nullptr) counters = std::make_unique<VoiceCounters>();
  return *counters;
}

std::unique_ptr<VoiceLink> VoiceThread::open(std::shared_ptr<const VoiceProfile> profile,
                                             const VoiceCall& call, VoiceListener& listener) {
  RELAY_ASSERT(profile != nullptr);
  VoiceCounters& counters = counters_of(profile->name);
  if (sessions() >= limits_.sessions_max ||
      !starts_.admit(limits_.starts_per_minute, steady_now())) {
    return std::make_unique<VoiceLink>(loop_, std::move(profile), call, counters, listener,
                                       VoiceError::busy);
  }
  return std::make_unique<VoiceLink>(loop_, std::move(profile), call, counters, listener, slots_);
}

void VoiceThread::release(std::unique_ptr<VoiceLink> link) {
  released_.push_back(std::move(link));
  release_->start(Duration::zero());
}

}  // namespace relay
