#include "relay/voice/voice_loop.h"

#include <utility>

#include "relay/base/assert.h"
#include "relay/voice/uv_handle.h"

namespace relay {
namespace {

uint64_t to_ms(Duration duration) {
  return static_cast<uint64_t>(std::chrono::ceil<std::chrono::milliseconds>(duration).count());
}

}  // namespace

VoiceLoop::VoiceLoop(Resolver::Lookup look_up) : loop_(new uv_loop_t), posted_(new uv_async_t) {
  RELAY_ASSERT(uv_loop_init(loop_) == 0);
  uv_async_init(loop_, posted_, [](uv_async_t* async) {
    if (async->data != nullptr) static_cast<VoiceLoop*>(async->data)->run_tasks();
  });
  posted_->data = this;
  const auto post_answer = [this](std::function<void()> task) {
    static_cast<void>(post(std::move(task)));  // a connection that is not told gives up in time
  };
  resolver_ = std::make_unique<Resolver>(post_answer, std::move(look_up));
}

VoiceLoop::~VoiceLoop() {
  resolver_.reset();
  tasks_.clear();  // what they hold may hang on the loop
  close_uv_handle(posted_);
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

bool VoiceLoop::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (tasks_.size() >= kTasksMax) return false;
    tasks_.push_back(std::move(task));
  }
  uv_async_send(posted_);
  return true;
}

void VoiceLoop::post_stop() {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back([this] { stop(); });
  }
  uv_async_send(posted_);
}

void VoiceLoop::run_tasks() {
  std::deque<std::function<void()>> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (const auto& task : tasks) task();
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
