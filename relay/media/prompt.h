// A prompt: stored payload played to a party, as often as asked.
//
// Where the party has been hearing the other one, the prompt goes on as the same stream, and the
// other party's media goes on as that when the prompt has ended: one SSRC, no gap in the sequence
// numbers, timestamps that follow the wall clock. Its RTCP passes meanwhile, without BYE, and the
// counts in its sender reports become those of what really leaves (SequenceShift).
//
// Where nothing was heard, or a clock other than 8000 Hz was, the prompt speaks as a stream of its
// own, which later ones go on with, and sends sender reports about it but no BYE: to some phones
// that ends the call. Of the other party only the reports about what it hears pass meanwhile.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "relay/flow/source.h"
#include "relay/media/prompt_audio.h"

namespace relay {

class Prompt final : public Source {
 public:
  struct Settings {
    std::string name;                          // for people
    std::shared_ptr<const PromptAudio> audio;  // at least one packet long
    int count = 1;                             // so many times; negative: without end
    uint16_t packet_ms = kPromptPacketMs;      // raised to whole units
  };
  explicit Prompt(Settings settings);

  void start(const RtpStreamState& other, SequenceShift& shift, Instant now) override;
  Instant play(Instant now, SourceOutput& output) override;
  Bytes instead_of(PacketKind kind, Bytes packet, Instant now,
                   std::span<std::byte> scratch) override;
  const char* name() const override { return "prompt"; }

  struct Progress {
    uint64_t packets = 0;  // played
    Duration position{};   // within the file
    int times_left = 0;    // to be played, the one under way included; negative: without end
  };
  // Any thread.
  Progress progress() const;
  // It has ended, and whoever speaks next is not heard into its last packet.
  bool is_over(Instant now) const;
  const std::string& prompt_name() const { return settings_.name; }
  const PromptAudio& audio() const { return *settings_.audio; }
  uint16_t packet_ms() const { return packet_.ms; }

 private:
  static constexpr size_t kRtpHeaderBytes = 12;

  bool go_on_with(const RtpStreamState& other);
  void begin_own_stream();
  bool is_speaking(Instant now) const { return times_left_ != 0 || now < due_; }
  void play_packet(SourceOutput& output);
  void count_packet(size_t payload_bytes);
  void report(Instant now, SourceOutput& output);
  void swallow(Bytes packet);
  bool is_heard_into_the_end(Bytes packet, Instant now) const;

  const Settings settings_;
  const PromptPacket packet_;
  const Duration wall_clock_;  // since 1900, when the monotonic clock was 0

  SequenceShift* shift_ = nullptr;
  Instant due_{};  // of the next packet; after the last one: its end
  uint32_t ssrc_ = 0, timestamp_ = 0;
  uint16_t sequence_ = 0;
  bool marker_ = true;
  bool goes_on_ = false;        // as the other party's stream
  bool heard_other_ = false;    // the fields below are known
  uint16_t highest_heard_ = 0;  // of the other party, by its own numbers
  uint16_t last_left_ = 0;      // under its SSRC
  uint32_t next_in_file_ = 0;   // packet
  int times_left_;
  Instant next_report_{};
  uint32_t own_packets_ = 0, own_octets_ = 0;
  std::array<std::byte, kRtpHeaderBytes + kPromptPacketBytesMax> buffer_;

  std::atomic<uint64_t> packets_played_{0};
  std::atomic<int> times_left_shown_;
  std::atomic<int64_t> over_at_ns_;
};

}  // namespace relay
