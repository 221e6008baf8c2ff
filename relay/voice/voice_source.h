// Speaks the voice thread's frames to a party, as one stream of its own: one SSRC, sequence numbers
// and timestamps without a jump, whether a frame is the endpoint's, the other party's or noise.
//
// Every 20 ms is a slot, and its packet bears the slot's timestamp. An answer that finds nothing
// being spoken need not wait for a slot: there is a look kLead before it, too, and a frame that is
// there by then leaves at once. The talk spurt keeps that lead; after it, noise falls back to the
// slots by kLeadDecay a packet, and only then are the looks 10 ms apart again. A slot that the
// other party's last packet reaches into moves to that packet's end, and all later ones with it.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "relay/flow/source.h"
#include "relay/rtp/rtp_header.h"
#include "relay/voice/media_path.h"

namespace relay {

// What the other party's media does while the endpoint may speak.
enum class OtherParty : uint8_t {
  silent,    // replaced for good
  muted,     // heard, except while the endpoint speaks and kHangOver after it
  mixed_in,  // the voice thread mixes it into the frames
};

struct VoiceStreamFormat {
  uint8_t payload_type = 0;
  uint32_t clock_rate_hz = 8000;
  // Spoken in turn while there is no frame; empty: nothing is sent then, and the stream pauses.
  std::vector<std::vector<std::byte>> idle_payloads;
};

class VoiceSource final : public Source {
 public:
  static constexpr Duration kHangOver = std::chrono::milliseconds(200);
  // Early packets wait in the receiver's buffer, which re-adjusts at the marker (RFC 3551 §4.1).
  static constexpr Duration kLead = std::chrono::milliseconds(10);
  static constexpr Duration kLeadDecay = std::chrono::milliseconds(1);
  static constexpr Duration kReportInterval = std::chrono::seconds(5);  // RFC 3550 §6.2

  // `random_ssrc`, `random_sequence` and `random_timestamp` begin the stream where the party has
  // heard nothing that could be continued.
  struct Beginning {
    uint32_t random_ssrc = 0, random_timestamp = 0;
    uint16_t random_sequence = 0;
  };
  VoiceSource(VoiceId id, std::shared_ptr<VoicePath> path, VoiceStreamFormat format,
              OtherParty other_party, const Beginning& beginning);

  VoiceId id() const { return id_; }

  void start(const RtpStreamState& other, SequenceShift& shift, Instant now) override;
  Instant play(Instant now, SourceOutput& output) override;
  Bytes instead_of(PacketKind kind, Bytes packet, Instant now,
                   std::span<std::byte> scratch) override;
  const char* name() const override { return "voice"; }

 private:
  void continue_stream(const RtpStreamState& other, const RtpJitterState& newest, Instant now);
  void find_slot(Instant now);
  void speak_frame(Instant now, bool is_early, SourceOutput& output);
  void speak_idle(SourceOutput& output);
  void speak(const std::byte* payload, size_t payload_bytes, bool marker, SourceOutput& output);
  void report(Instant now, SourceOutput& output);
  void shift_to_follow();
  void note_other(Bytes packet);
  bool take_frame(SpokenFrame& frame, Instant now);
  bool is_speaking(Instant now) const { return spoke_ && now - last_spoken_ < kHangOver; }
  uint32_t timestamp_at(Instant now) const;
  uint32_t covered_from(uint32_t timestamp) const;
  uint32_t frame_units() const { return format_.clock_rate_hz / 50; }
  void cover_other(const RtpView& rtp, bool follows);
  Bytes pass(Bytes packet, Instant now, std::span<std::byte> scratch);
  Bytes reports_only(Bytes packet, std::span<std::byte> scratch) const;

  const VoiceId id_;
  const std::shared_ptr<VoicePath> path_;
  const VoiceStreamFormat format_;
  const OtherParty other_party_;
  const Duration lead_max_;
  uint32_t ssrc_;
  uint16_t sequence_;   // the next
  uint32_t timestamp_;  // of `began_`, and so of every later time
  Instant began_{};
  Instant slot_{};              // the next
  Duration lead_{};             // the next packet leaves this long before its slot
  uint32_t covered_until_ = 0;  // timestamp: what has been sent reaches so far
  SequenceShift* shift_ = nullptr;
  // Of the other party's last packet, where our stream continues theirs.
  std::optional<uint16_t> continued_sequence_;
  std::optional<uint32_t> other_ssrc_;  // of the stream that is passed; nothing: begins anew
  uint16_t other_sequence_ = 0;         // of its last packet
  uint32_t other_timestamp_ = 0;        // of its last packet
  uint32_t other_offset_ = 0;           // from its timestamps to ours
  // Between the endpoint's words it is the other party's turn, not the noise's.
  bool passing_ = false, spoke_ = false;
  Instant last_spoken_{};  // slot
  size_t idle_index_ = 0;
  uint32_t packets_sent_ = 0, octets_sent_ = 0;
  Instant next_report_{};
  SpokenFrame frame_;  // too large for the stack of a busy thread's cache
};

}  // namespace relay
