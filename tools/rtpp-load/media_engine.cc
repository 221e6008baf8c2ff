#include "tools/rtpp-load/media_engine.h"

#include "relay/base/assert.h"
#include "tools/rtpp-load/media_thread.h"

namespace relay::tools {

void MediaCounters::add(const MediaCounters& other) {
  sent += other.sent;
  arrived += other.arrived;
  expected += other.expected;
  delivered += other.delivered;
  reordered += other.reordered;
  duplicated += other.duplicated;
  misdelivered += other.misdelivered;
  wrong_source += other.wrong_source;
  foreign += other.foreign;
  send_errors += other.send_errors;
}

MediaEngine::MediaEngine(const MediaSettings& settings) {
  const Instant epoch = steady_now();
  for (int i = 0; i < settings.threads; ++i) {
    threads_.push_back(std::make_unique<MediaThread>(settings, epoch));
  }
}

MediaEngine::~MediaEngine() = default;

void MediaEngine::give(Call& call, Change change) {
  // The ring holds more calls than descriptors allow, and is emptied each millisecond.
  RELAY_ASSERT(threads_[call.index % threads_.size()]->give({&call, change}));
}

void MediaEngine::measure_times() {
  for (const auto& thread : threads_) thread->measure_times();
}

void MediaEngine::stop_sending() {
  for (const auto& thread : threads_) thread->stop_sending();
}

void MediaEngine::finish() {
  for (const auto& thread : threads_) thread->finish();
}

MediaCounters MediaEngine::counters() const {
  MediaCounters sum;
  for (const auto& thread : threads_) sum.add(thread->counters());
  return sum;
}

MediaTimes MediaEngine::times() const {
  MediaTimes sum;
  for (const auto& thread : threads_) {
    sum.one_way_delay.merge(thread->times().one_way_delay);
    sum.delay_variation.merge(thread->times().delay_variation);
    sum.send_lateness.merge(thread->times().send_lateness);
  }
  return sum;
}

}  // namespace relay::tools
