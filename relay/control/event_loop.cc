#include "relay/control/event_loop.h"

#include <event2/event.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "relay/base/assert.h"
#include "relay/base/log.h"

namespace relay {

namespace {

timeval to_timeval(Duration duration) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  timeval value{};
  value.tv_sec = us / 1'000'000;
  value.tv_usec = us % 1'000'000;
  return value;
}

void forward_log(int severity, const char* message) {
  const LogLevel level = severity >= EVENT_LOG_ERR    ? LogLevel::error
                         : severity >= EVENT_LOG_WARN ? LogLevel::warning
                                                      : LogLevel::debug;
  log_at(level, "libevent message={}", quoted(message));
}

}  // namespace

// Shared so that a callback which destroys its own event does not destroy the function it runs in.
struct LoopEvent::State : std::enable_shared_from_this<LoopEvent::State> {
  event* handle = nullptr;
  Callback callback;

  static void on_event(evutil_socket_t, short, void* argument) {
    const auto keep_alive = static_cast<State*>(argument)->shared_from_this();
    keep_alive->callback();
  }
};

LoopEvent::LoopEvent(EventLoop& loop, int fd, short flags, Callback callback)
    : state_(std::make_shared<State>()) {
  state_->callback = std::move(callback);
  state_->handle = event_new(loop.base(), fd, flags, &State::on_event, state_.get());
  RELAY_ASSERT(state_->handle != nullptr);
}

LoopEvent::~LoopEvent() {
  event_free(state_->handle);
}

bool LoopEvent::start(const Duration* timeout) {
  timeval value{};
  if (timeout != nullptr) value = to_timeval(*timeout);
  return event_add(state_->handle, timeout != nullptr ? &value : nullptr) == 0;
}

void LoopEvent::stop() {
  event_del(state_->handle);
}

FdEvent::FdEvent(EventLoop& loop, int fd, FdReady when, LoopEvent::Callback callback)
    : event_(loop, fd,
             static_cast<short>(EV_PERSIST | (when == FdReady::readable ? EV_READ : EV_WRITE)),
             std::move(callback)) {}

bool FdEvent::start() {
  return event_.start(nullptr);
}
void FdEvent::stop() {
  event_.stop();
}

Timer::Timer(EventLoop& loop, LoopEvent::Callback callback)
    : once_(loop, -1, 0, callback), repeating_(loop, -1, EV_PERSIST, std::move(callback)) {}

void Timer::start_once(Duration delay) {
  stop();
  once_.start(&delay);
}

void Timer::start_repeating(Duration interval) {
  stop();
  repeating_.start(&interval);
}

void Timer::stop() {
  once_.stop();
  repeating_.stop();
}

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  ::signal(SIGPIPE, SIG_IGN);
  event_set_log_callback(&forward_log);
  UniqueFd wake_up(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake_up) return fail_errno("event loop: eventfd");
  const std::unique_ptr<event_config, decltype(&event_config_free)> settings(event_config_new(),
                                                                             &event_config_free);
  if (!settings) return fail("event loop: out of memory");
  event_config_set_flag(settings.get(), EVENT_BASE_FLAG_NOLOCK);
  event_config_set_flag(settings.get(), EVENT_BASE_FLAG_PRECISE_TIMER);
  event_base* base = event_base_new_with_config(settings.get());
  if (base == nullptr) return fail_errno("event loop: libevent cannot start");
  return std::unique_ptr<EventLoop>(new EventLoop(base, std::move(wake_up)));
}

EventLoop::EventLoop(event_base* base, UniqueFd wake_up)
    : base_(base), wake_up_(std::move(wake_up)) {
  wake_up_event_ =
      std::make_unique<FdEvent>(*this, wake_up_.get(), FdReady::readable, [this] { run_posted(); });
  RELAY_ASSERT(wake_up_event_->start());
}

EventLoop::~EventLoop() {
  signals_.clear();
  wake_up_event_.reset();
  event_base_free(base_);
}

void EventLoop::run() {
  if (!stop_requested_) event_base_loop(base_, EVLOOP_NO_EXIT_ON_EMPTY);
  stop_requested_ = false;
}

void EventLoop::run_once() {
  event_base_loop(base_, EVLOOP_ONCE);
}

void EventLoop::stop() {
  stop_requested_ = true;
  event_base_loopbreak(base_);
}

void EventLoop::post(std::function<void()> task) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(task));
  }
  const uint64_t one = 1;
  // Fails only when the counter is about to overflow, and then the loop is awake anyway.
  [[maybe_unused]] const ssize_t written = ::write(wake_up_.get(), &one, sizeof one);
}

void EventLoop::run_posted() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(wake_up_.get(), &count, sizeof count);
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(posted_mutex_);
    tasks.swap(posted_);
  }
  for (const auto& task : tasks) task();
}

Result<void> EventLoop::add_signal(int number, LoopEvent::Callback callback) {
  auto event = std::make_unique<LoopEvent>(
      *this, number, static_cast<short>(EV_SIGNAL | EV_PERSIST), std::move(callback));
  if (!event->start(nullptr)) return fail(fmt::format("cannot handle signal {}", number));
  signals_.push_back(std::move(event));
  return {};
}

}  // namespace relay
