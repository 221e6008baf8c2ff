// An endpoint that says its last words and closes: they are heard before the session ends.
#include <atomic>
#include <thread>

#include "relay/voice/voice_service.h"
#include "tests/voice/link_run.h"

namespace relay {
namespace {

using std::chrono::milliseconds;

constexpr size_t kLastFrames = 20;  // 400 ms

// A session whose test is the worker.
class Leaving {
 public:
  explicit Leaving(const PeerProcess& peer) {
    REQUIRE(peer.port() > 0);
    auto thread = VoiceThread::start({});
    REQUIRE(thread.has_value());
    thread_ = std::move(*thread);
    service_ = std::make_unique<VoiceService>(*thread_, [this](const VoiceReport& report) {
      if (report.event && report.event->kind == VoiceEventKind::ended) {
        outcome_ = report.event->outcome;
        frames_when_ended_ = path_->frames_taken.load();
        ended_ = true;
      }
    });
    VoiceStart start;
    start.id = 1;
    start.profile = std::make_shared<VoiceProfile>(
        profile_for(VoiceDriverKind::twilio, fmt::format("ws://127.0.0.1:{}/", peer.port())));
    start.call = LinkRun::call_with_id();
    start.media.near.path = path_;
    start.media.near.speaks = true;
    service_->start(std::move(start));
  }
  ~Leaving() {
    service_.reset();
    thread_.reset();
  }

  // Takes frames as a worker does, until the session has ended or `frames` are taken.
  void take(uint64_t frames) {
    const auto give_up = std::chrono::steady_clock::now() + kPatience;
    SpokenFrame frame;
    while (!ended_ && path_->frames_taken.load() < frames &&
           std::chrono::steady_clock::now() < give_up) {
      if (path_->spoken.pop(frame)) path_->frames_taken.fetch_add(1);
      std::this_thread::sleep_for(milliseconds(5));
    }
  }
  void stop() { service_->stop(1); }
  bool has_ended() const { return ended_; }
  VoiceOutcome outcome() const { return outcome_; }
  uint64_t frames_when_ended() const { return frames_when_ended_; }

 private:
  std::shared_ptr<VoicePath> path_ = std::make_shared<VoicePath>();
  std::atomic<bool> ended_ = false;
  std::atomic<VoiceOutcome> outcome_ = VoiceOutcome::failed;
  std::atomic<uint64_t> frames_when_ended_ = 0;
  std::unique_ptr<VoiceThread> thread_;
  std::unique_ptr<VoiceService> service_;
};

}  // namespace

TEST_CASE("a farewell is heard to its end") {
  const PeerProcess peer({kPython, kPeerScript, "goodbye"});
  Leaving leaving(peer);
  leaving.take(1000);
  CHECK(leaving.has_ended());
  CHECK(leaving.outcome() == VoiceOutcome::finished);
  CHECK(leaving.frames_when_ended() == kLastFrames);
}

TEST_CASE("a farewell that nobody takes, or that is cut, does not hold the session") {
  const PeerProcess peer({kPython, kPeerScript, "goodbye"});
  Leaving deaf(peer);
  deaf.take(1);
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  while (!deaf.has_ended() && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  CHECK(deaf.has_ended());

  Leaving cut(peer);
  cut.take(2);
  cut.stop();
  cut.take(1000);
  CHECK(cut.has_ended());
}

}  // namespace relay
