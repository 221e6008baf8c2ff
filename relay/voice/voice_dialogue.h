// The media half of one voice session: frames of what the parties say go up to the link, what the
// endpoint says comes down into the play-out. Voice thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "relay/voice/driver.h"
#include "relay/voice/echo_filter.h"
#include "relay/voice/media_path.h"
#include "relay/voice/payload_types.h"
#include "relay/voice/playout.h"
#include "relay/voice/uplink.h"
#include "relay/voice/voice_activity.h"
#include "relay/voice/voice_measures.h"

namespace relay {

// The way to the endpoint.
class VoiceUpstream {
 public:
  virtual ~VoiceUpstream() = default;
  virtual void frame(Samples samples) = 0;
  virtual void frame_g711(Octets octets) = 0;
  virtual void mark_done(MarkId id, MarkFate fate) = 0;
  // The caller speaks and the endpoint has not noticed; then, that the caller has finished.
  virtual void barge_in() = 0;
  virtual void barge_in_over() = 0;
};

struct VoiceDialogueSettings {
  // `near` is the leg of the party that speaks with the endpoint, `far` the other one. Without
  // `speaks` the endpoint is not heard there.
  struct Leg {
    std::shared_ptr<VoicePath> path;  // null: has no part in it
    bool speaks = false;
    Playout::Settings playout;
  };
  Leg near, far;
  PayloadTypes types;
  AudioFormat up;      // two channels: near left, far right
  bool mixes = false;  // the parties go on hearing each other, with the endpoint
  // Speech of this length while the endpoint speaks is an interruption, whatever the endpoint says.
  // Zero: left to the endpoint.
  Duration barge_in_after{0};
  // The echo of what the near party is told is taken out of what it says, up to this late. Zero: it
  // is not.
  std::chrono::milliseconds echo_tail{0};
};

class VoiceDialogue final : public VoiceListener {
 public:
  using OnEvent = std::function<void(const VoiceEvent&)>;
  using OnKeyPress = std::function<void(const KeyPress&)>;

  static Result<std::unique_ptr<VoiceDialogue>> make(const VoiceDialogueSettings& settings,
                                                     VoiceMeasures& measures, OnEvent on_event,
                                                     OnKeyPress on_key_press);

  // Does what there is to do, and says when to be called again if nothing happens before: a wake-up
  // of the worker, a message of the endpoint.
  Instant run(Instant now, VoiceUpstream& upstream);

  void play_samples(Samples samples, int rate_hz) override;
  void play_g711(AudioFormat::Encoding encoding, Octets octets) override;
  void end_of_reply() override;
  void mark(MarkId id) override;
  Duration clear() override;
  void event(const VoiceEvent& event) override { on_event_(event); }

  // How much of the endpoint's audio waits to be spoken.
  Duration queued() const;
  // Of 20 ms; the queue was full.
  uint64_t dropped_frames() const;
  // Of what both parties said to the endpoint.
  UplinkCounters heard() const;

 private:
  // A leg on which the endpoint is heard.
  struct Mouth {
    Playout playout;
    std::optional<Uplink> partner;  // mixed in
    bool is_near = false;
  };

  VoiceDialogue(const VoiceDialogueSettings& settings, VoiceMeasures& measures, OnEvent on_event,
                OnKeyPress on_key_press);
  Result<void> open();
  Result<void> open_echo(Playout& playout);
  Result<void> open_mouth(const VoiceDialogueSettings::Leg& leg, bool is_near);
  void listen();
  void hear(const HeardPacket& packet, bool from_near, bool tells_keys);
  void send_frames(Instant now, VoiceUpstream& upstream);
  void send_frame(Instant now, VoiceUpstream& upstream);
  void watch_for_barge_in(VoiceUpstream& upstream);
  void speak(Instant now, VoiceUpstream& upstream);
  void note_given();
  void measure_speech();

  const VoiceDialogueSettings settings_;
  VoiceMeasures& measures_;
  const OnEvent on_event_;
  const OnKeyPress on_key_press_;
  std::optional<Uplink> near_, far_;
  std::vector<Mouth> mouths_;
  std::unique_ptr<EchoFilter> echo_;
  std::vector<int16_t> near_frame_, far_frame_, stereo_frame_;
  std::vector<uint8_t> octets_;
  VoiceActivity activity_;
  Instant next_mixed_{};
  std::optional<Instant> last_voiced_;       // the caller's; nothing: the turn has been answered
  std::optional<Instant> given_while_idle_;  // audio came with nothing queued
  uint64_t frames_spoken_ = 0;
  bool barged_in_ = false;
  std::deque<MarkId> unheard_marks_;
};

}  // namespace relay
