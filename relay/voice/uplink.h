// What one party says, as 20 ms frames: depacketised, put in order, decoded, concealed where it was
// lost, quiet noise where there is nothing. Voice thread.
//
// A frame is handed out as soon as its audio is there, so that nothing waits for a tick; the clock
// only bounds that: at most a little early, and never later than kLateMax, whether or not the
// party has sent anything. So frames come at an even pace through DTX, loss and silence.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "relay/base/clock.h"
#include "relay/media/codec.h"
#include "relay/media/resampler.h"
#include "relay/voice/comfort_noise.h"
#include "relay/voice/dtmf_detector.h"
#include "relay/voice/payload_types.h"

namespace relay {

inline constexpr Duration kVoiceFrame = std::chrono::milliseconds(20);

struct UplinkCounters {
  uint64_t packets = 0;
  uint64_t late = 0;        // packets that came twice, or after their turn
  uint64_t unreadable = 0;  // packets of an unknown payload type, or that no decoder made sense of
  uint64_t concealed_frames = 0, noise_frames = 0, skipped_frames = 0;

  UplinkCounters operator+(const UplinkCounters& other) const {
    return {packets + other.packets,           late + other.late,
            unreadable + other.unreadable,     concealed_frames + other.concealed_frames,
            noise_frames + other.noise_frames, skipped_frames + other.skipped_frames};
  }
};

class Uplink {
 public:
  // How early and how late a frame may be handed out, against an even pace.
  static constexpr Duration kEarlyMax = std::chrono::milliseconds(15);
  static constexpr Duration kLateMax = std::chrono::milliseconds(40);
  // So long a gap in the sequence is waited for.
  static constexpr Duration kReorderHold = std::chrono::milliseconds(40);

  // Frames have `rate_hz` / 50 samples.
  static Result<Uplink> make(const PayloadTypes& types, uint32_t rate_hz);

  using OnKeyPress = std::function<void(const KeyPress&)>;
  void push(const HeardPacket& packet, const OnKeyPress& on_key_press);

  // Fills `frame` with the next one if it is time for it. Call until it says no, after pushing and
  // at next_due().
  bool next(Instant now, std::span<int16_t> frame, const OnKeyPress& on_key_press);
  // For those with a pace of their own, instead of next(): what there is now.
  void pull(Instant now, std::span<int16_t> frame);
  // When next() will have a frame whatever comes or does not come until then.
  Instant next_due() const {
    return has_frame() ? schedule_ - kEarlyMax : std::max(schedule_ + kLateMax, grace_until_);
  }

  // When the last packet that is in the frame handed out last arrived; nothing: noise.
  std::optional<Instant> frame_arrival() const { return frame_arrival_; }
  const UplinkCounters& counters() const { return counters_; }
  Duration buffered() const;

 private:
  Uplink(const PayloadTypes& types, uint32_t rate_hz) : types_(types), rate_hz_(rate_hz) {}

  void accept(const HeardPacket& packet);
  void decode(const HeardPacket& packet);
  void drop_held();
  void decode_held(Instant now);
  bool prepare_decoder(const HeardPacket& packet);
  void conceal_frame();
  void append(std::span<const int16_t> samples);
  void drop_lag();
  void take(std::span<int16_t> frame);
  bool has_frame() const { return samples_.size() >= frame_samples(); }
  size_t frame_samples() const { return rate_hz_ / 50; }

  PayloadTypes types_;
  uint32_t rate_hz_;
  std::optional<uint8_t> payload_type_;  // of `decoder_`
  std::unique_ptr<AudioDecoder> decoder_;
  std::optional<Resampler> resampler_;  // to rate_hz_
  std::optional<uint32_t> ssrc_;
  uint16_t expected_ = 0;          // sequence number
  std::vector<HeardPacket> held_;  // ahead of a gap, in order
  std::deque<int16_t> samples_;
  ComfortNoise noise_;
  DtmfDetector dtmf_;
  Instant schedule_{};  // of the next frame; zero: not begun
  Instant asked_{};     // for a frame
  Instant grace_until_{};
  int64_t last_arrival_ns_ = 0;
  std::optional<Instant> frame_arrival_;
  int concealed_in_a_row_ = 0;
  int lagging_frames_ = 0;
  UplinkCounters counters_;
  std::array<int16_t, 5760> scratch_{};  // 120 ms at 48 kHz
  std::array<int16_t, 5760 * 3> resampled_{};
};

}  // namespace relay
