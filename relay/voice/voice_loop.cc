#include "relay/voice/voice_loop.h"

#include "relay/base/assert.h"
#include "relay/voice/uv_handle.h"

namespace relay {
namespace {

uint64_t to_ms(Duration duration) {
  return static_cast<uint64_t>(std::chrono::ceil<std::chrono::milliseconds>(duration).count());
}

}  // namespace

VoiceLoop::VoiceLoop() : loop_(new uv_loop_t) {
  RELAY_ASSERT(uv_loop_init(loop_) == 0);
}

VoiceLoop::~VoiceLoop() {
  uv_run(loop_, UV_RUN_DEFAULT);
  RELAY_ASSERT(uv_loop_close(loop_) == 0);
  delete loop_;
}

void VoiceLoop::run() {
  uv_run(loop_, UV_RUN_DEFAULT);
}

void VoiceLoop::stop() {
  uv_stop(loop_);
}

VoiceTimer::VoiceTimer(VoiceLoop& loop, std::function<void()> fired)
    : timer_(new uv_timer_t), fired_(std::move(fired)) {
  uv_timer_init(loop.native(), timer_);
  timer_->data = this;
}

VoiceTimer::~VoiceTimer() {
  close_uv_handle(timer_);
}

void VoiceTimer::start(Duration after, Duration repeat) {
  const auto on_timer = [](uv_timer_t* timer) {
    auto* self = static_cast<VoiceTimer*>(timer->data);
    if (self == nullptr) return;
    const auto fired = self->fired_;  // may destroy the timer
    fired();
  };
  // The loop's idea of now is as old as its last wake-up.
  uv_update_time(timer_->loop);
  uv_timer_start(timer_, on_timer, to_ms(after), to_ms(repeat));
}

void VoiceTimer::stop() {
  uv_timer_stop(timer_);
}

}  // namespace relay
