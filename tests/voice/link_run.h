// One voice session from the call's side: a thread, a link, 20 ms frames, and what came of it.
#pragma once

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "relay/voice/voice_thread.h"
#include "tests/voice/peer_process.h"

namespace relay {

inline const std::string kPython = "/usr/bin/python3";
inline const std::string kPeerScript = VOICE_PEER_DIR "/peer.py";

inline VoiceProfile profile_for(VoiceDriverKind driver, const std::string& url) {
  VoiceProfile profile;
  profile.name = "bot";
  profile.driver = driver;
  profile.url = url;
  profile.retries = 1;
  return profile;
}

// Waits only for things to happen, at most as long as a test may take: no test depends on when.
constexpr std::chrono::seconds kPatience{40};

class LinkRun final : private VoiceListener {
 public:
  explicit LinkRun(const VoiceProfile& profile, const VoiceLimits& limits = {},
                   const VoiceCall& call = call_with_id()) {
    auto thread = VoiceThread::start(limits);
    REQUIRE(thread.has_value());
    thread_ = std::move(*thread);
    open(profile, call);
  }
  ~LinkRun() override {
    run([this] {
      link_.reset();
      frames_.reset();
    });
  }

  static VoiceCall call_with_id() {
    VoiceCall call;
    call.call_id = "call-1@192.0.2.1";
    call.caller = "+15550100";
    call.session_id = "75a6126e-427f-49a1-a2c1-621143cb9db3";
    return call;
  }

  // In the voice thread; returns when it is done.
  void run(const std::function<void()>& task) {
    std::mutex mutex;
    std::condition_variable done;
    bool is_done = false;
    REQUIRE(thread_->post([&] {
      task();
      const std::lock_guard lock(mutex);
      is_done = true;
      done.notify_one();
    }));
    std::unique_lock lock(mutex);
    done.wait(lock, [&] { return is_done; });
  }

  // The first event that starts like this; "" if none came.
  std::string wait_for(const std::string& beginning) {
    std::unique_lock lock(mutex_);
    std::string found;
    changed_.wait_for(lock, kPatience, [&] {
      for (const std::string& line : events_) {
        if (line.starts_with(beginning)) found = line;
      }
      return !found.empty();
    });
    return found;
  }
  bool wait_for_audio(size_t octets) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return audio_ >= octets; });
  }
  bool wait_for_events(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return events_.size() >= count; });
  }
  std::vector<std::string> events() {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  size_t audio() {
    const std::lock_guard lock(mutex_);
    return audio_;
  }
  void stop() {
    run([this] { link_->stop(); });
  }
  void press(char digit) {
    run([this, digit] { link_->dtmf(digit, std::chrono::milliseconds(100)); });
  }
  // What a clear() will cut.
  void unheard_at_clear(Duration unheard) {
    run([this, unheard] { unheard_ = unheard; });
  }
  VoiceCounters& counters() { return thread_->counters_of("bot"); }
  VoiceThread& thread() { return *thread_; }
  VoiceListener& listener() { return *this; }

 private:
  void open(const VoiceProfile& profile, const VoiceCall& call) {
    auto loaded = std::make_shared<VoiceProfile>(profile);
    auto tls = TlsContext::make(profile.tls);
    REQUIRE(tls.has_value());
    loaded->tls_context = *tls;
    run([&] {
      link_ = thread_->open(loaded, call, *this);
      frames_ = std::make_unique<VoiceTimer>(thread_->loop(), [this] { send_frame(); });
      frames_->start(std::chrono::milliseconds(20), std::chrono::milliseconds(20));
    });
  }

  void send_frame() {
    const AudioFormat format = link_->up_format();
    if (format.encoding == AudioFormat::Encoding::s16) {
      link_->frame(std::vector<int16_t>(format.frame_samples()));
    } else {
      link_->frame_g711(std::vector<uint8_t>(format.frame_samples(), 0xFF));
    }
    for (const MarkId mark : std::exchange(marks_, {})) link_->mark_done(mark, MarkFate::played);
  }

  void note(std::string line) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(line));
    changed_.notify_all();
  }
  void heard(size_t octets) {
    const std::lock_guard lock(mutex_);
    audio_ += octets;
    changed_.notify_all();
  }

  void play_samples(Samples samples, int) override { heard(samples.size_bytes()); }
  void play_g711(AudioFormat::Encoding, Octets octets) override { heard(octets.size()); }
  void end_of_reply() override { note("end of reply"); }
  void mark(MarkId id) override { marks_.push_back(id); }
  Duration clear() override {
    note("clear");
    return unheard_;
  }
  void event(const VoiceEvent& event) override {
    std::string line(to_string(event.kind));
    if (event.kind == VoiceEventKind::call_error)
      line += fmt::format(" {}", to_string(event.error));
    if (event.kind == VoiceEventKind::ended) {
      constexpr const char* kOutcomes[] = {" stopped", " finished", " failed"};
      line += kOutcomes[static_cast<int>(event.outcome)];
    }
    note(line + (event.text.empty() ? "" : ": " + event.text));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_;  // under mutex_
  size_t audio_ = 0;                 // under mutex_
  std::vector<MarkId> marks_;
  Duration unheard_{};
  std::unique_ptr<VoiceLink> link_;
  std::unique_ptr<VoiceTimer> frames_;
  std::unique_ptr<VoiceThread> thread_;
};

}  // namespace relay
