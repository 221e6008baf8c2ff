// One voice session with its media half; the test is the worker that takes the frames.
#pragma once

#include <array>
#include <atomic>
#include <thread>

#include "relay/voice/voice_service.h"
#include "tests/voice/link_run.h"

namespace relay {

class SessionRun {
 public:
  explicit SessionRun(VoiceProfile profile) {
    auto thread = VoiceThread::start({});
    REQUIRE(thread.has_value());
    thread_ = std::move(*thread);
    service_ = std::make_unique<VoiceService>(
        *thread_, [this](const VoiceReport& report) { on_report(report); });
    VoiceStart start;
    start.id = 1;
    start.profile = std::make_shared<VoiceProfile>(std::move(profile));
    start.call = LinkRun::call_with_id();
    start.media.near.path = path_;
    start.media.near.speaks = true;
    service_->start(std::move(start));
  }
  ~SessionRun() {
    service_.reset();
    thread_.reset();
  }
  SessionRun(const SessionRun&) = delete;
  SessionRun& operator=(const SessionRun&) = delete;

  // Takes frames as a worker does, until the session has ended or `frames` are taken.
  void take(uint64_t frames, std::chrono::milliseconds interval) {
    const auto give_up = std::chrono::steady_clock::now() + kPatience;
    SpokenFrame frame;
    while (!ended_ && path_->frames_taken.load() < frames &&
           std::chrono::steady_clock::now() < give_up) {
      while (path_->spoken.pop(frame)) {
        path_->frames_taken.fetch_add(1);
        if (frame.epoch != path_->epoch.load()) continue;
        ++spoken_[static_cast<size_t>(frame.payload[frame.payload_bytes / 2])];
        break;
      }
      std::this_thread::sleep_for(interval);
    }
  }
  void wait_for_end() {
    const auto give_up = std::chrono::steady_clock::now() + kPatience;
    while (!ended_ && std::chrono::steady_clock::now() < give_up) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  void stop() { service_->stop(1); }

  bool has_ended() const { return ended_; }
  VoiceOutcome outcome() const { return outcome_; }
  uint64_t interruptions() const { return interruptions_; }
  uint64_t frames_when_ended() const { return frames_when_ended_; }
  // Frames with this octet in the middle that were not cleared before their turn.
  uint64_t spoken(uint8_t octet) const { return spoken_[octet]; }

 private:
  void on_report(const VoiceReport& report) {
    if (!report.event) return;
    if (report.event->kind == VoiceEventKind::user_interrupted) ++interruptions_;
    if (report.event->kind != VoiceEventKind::ended) return;
    outcome_ = report.event->outcome;
    frames_when_ended_ = path_->frames_taken.load();
    ended_ = true;
  }

  std::shared_ptr<VoicePath> path_ = std::make_shared<VoicePath>();
  std::array<uint64_t, 256> spoken_{};
  std::atomic<bool> ended_ = false;
  std::atomic<VoiceOutcome> outcome_ = VoiceOutcome::failed;
  std::atomic<uint64_t> frames_when_ended_ = 0, interruptions_ = 0;
  std::unique_ptr<VoiceThread> thread_;
  std::unique_ptr<VoiceService> service_;
};

}  // namespace relay
