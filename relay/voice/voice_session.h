// One voice session in the voice thread: the link to the endpoint and the media half, and the timer
// that drives both.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "relay/voice/link.h"
#include "relay/voice/voice_dialogue.h"
#include "relay/voice/voice_engine.h"
#include "relay/voice/voice_measures.h"
#include "relay/voice/voice_thread.h"

namespace relay {

class VoiceSession final : private VoiceUpstream, private VoiceListener {
 public:
  // Called from the loop; the report of `ended` is the last. Must not destroy the session.
  using OnReport = std::function<void(VoiceReport)>;

  VoiceSession(VoiceThread& thread, VoiceStart start, VoiceMeasures& measures, OnReport on_report);

  VoiceId id() const { return id_; }
  bool is_over() const { return over_; }
  // A worker has put packets into one of its paths, perhaps.
  void look();
  void stop();

 private:
  void run();
  void count_heard();
  void report(const VoiceEvent& event);
  void end(const VoiceEvent& ended);
  void run_soon() { timer_.start(Duration::zero()); }

  // What the media half has for the endpoint.
  void frame(Samples samples) override { link_->frame(samples); }
  void frame_g711(Octets octets) override { link_->frame_g711(octets); }
  void mark_done(MarkId id, MarkFate fate) override { link_->mark_done(id, fate); }
  void barge_in() override { link_->barge_in(); }
  void barge_in_over() override { link_->barge_in_over(); }

  // What the endpoint has for it.
  void play_samples(Samples samples, int rate_hz) override;
  void play_g711(AudioFormat::Encoding encoding, Octets octets) override;
  void end_of_reply() override;
  void mark(MarkId id) override;
  Duration clear() override;
  void event(const VoiceEvent& event) override;

  const VoiceId id_;
  const OnReport on_report_;
  const std::shared_ptr<VoicePath> near_, far_;
  VoiceCounters& counters_;
  std::unique_ptr<VoiceDialogue> dialogue_;
  std::unique_ptr<VoiceLink> link_;
  bool over_ = false;
  uint64_t dropped_ = 0;  // frames counted so far
  UplinkCounters heard_;  // the same
  // The endpoint has gone and what it said last is still being heard.
  struct Farewell {
    VoiceEvent ended;
    Instant until;
  };
  std::optional<Farewell> farewell_;
  VoiceTimer timer_;
};

}  // namespace relay
