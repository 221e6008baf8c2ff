#include "tools/common/event_loop.h"

#include <uv.h>

#include <csignal>

#include "relay/base/assert.h"
#include "tools/common/uv_handle.h"

namespace relay::tools {
namespace {

uint64_t to_ms(Duration duration) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  return ms > 0 ? static_cast<uint64_t>(ms) : 0;
}

}  // namespace

EventLoop::EventLoop() : loop_(new uv_loop_t) {
  RELAY_ASSERT(uv_loop_init(loop_) == 0);
}

EventLoop::~EventLoop() {
  uv_run(loop_, UV_RUN_DEFAULT);  // closing handles finish here
  RELAY_ASSERT(uv_loop_close(loop_) == 0);
  delete loop_;
}

void EventLoop::run() {
  uv_run(loop_, UV_RUN_DEFAULT);
}

void EventLoop::stop() {
  uv_stop(loop_);
}

Timer::Timer(EventLoop& loop, std::function<void()> fired)
    : timer_(new uv_timer_t), fired_(std::move(fired)) {
  uv_timer_init(loop.native(), timer_);
  timer_->data = this;
}

Timer::~Timer() {
  close_handle(timer_);
}

void Timer::start(Duration after, Duration repeat) {
  uv_update_time(timer_->loop);
  uv_timer_start(
      timer_, [](uv_timer_t* timer) { static_cast<Timer*>(timer->data)->fired_(); }, to_ms(after),
      to_ms(repeat));
}

void Timer::stop() {
  uv_timer_stop(timer_);
}

bool Timer::armed() const {
  return uv_is_active(reinterpret_cast<const uv_handle_t*>(timer_));
}

StopSignals::StopSignals(EventLoop& loop, std::function<void()> arrived)
    : signals_{new uv_signal_t, new uv_signal_t}, arrived_(std::move(arrived)) {
  const int numbers[] = {SIGINT, SIGTERM};
  for (int i = 0; i < 2; ++i) {
    uv_signal_init(loop.native(), signals_[i]);
    signals_[i]->data = this;
    uv_signal_start(
        signals_[i],
        [](uv_signal_t* signal, int) { static_cast<StopSignals*>(signal->data)->arrived_(); },
        numbers[i]);
  }
}

StopSignals::~StopSignals() {
  for (uv_signal_t* signal : signals_) close_handle(signal);
}

}  // namespace relay::tools
