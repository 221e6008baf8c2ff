#include "relay/voice/voice_source.h"

#include <time.h>

#include <algorithm>

#include "relay/rtp/demux.h"
#include "relay/rtp/rtcp_rewrite.h"
#include "relay/rtp/rtp_header.h"

namespace relay {
namespace {

constexpr Duration kFrame = std::chrono::milliseconds(20);
// A thread that was held up this long goes on from now instead of catching up in a burst.
constexpr Duration kResync = std::chrono::milliseconds(60);
constexpr size_t kHeaderBytes = 12;
constexpr uint8_t kReceiverReport = 201;
constexpr uint64_t kNtpEpochOffset = 2'208'988'800;  // 1900 to 1970

uint64_t ntp_now() {
  timespec wall{};
  ::clock_gettime(CLOCK_REALTIME, &wall);
  const auto seconds = static_cast<uint64_t>(wall.tv_sec) + kNtpEpochOffset;
  const auto fraction = (static_cast<uint64_t>(wall.tv_nsec) << 32) / 1'000'000'000;
  return (seconds << 32) | fraction;
}

uint32_t units(Duration time, uint32_t clock_rate_hz) {
  return static_cast<uint32_t>(static_cast<uint64_t>(std::max<int64_t>(time.count(), 0)) / 1000 *
                               clock_rate_hz / 1'000'000);
}

}  // namespace

VoiceSource::VoiceSource(VoiceId id, std::shared_ptr<VoicePath> path, VoiceStreamFormat format,
                         OtherParty other_party, const Beginning& beginning)
    : id_(id),
      path_(std::move(path)),
      format_(std::move(format)),
      other_party_(other_party),
      ssrc_(beginning.random_ssrc),
      sequence_(beginning.random_sequence),
      timestamp_(beginning.random_timestamp) {}

// A party that has been hearing the other one goes on hearing the same stream.
void VoiceSource::start(const RtpStreamState& other, SequenceShift& shift, Instant now) {
  shift_ = &shift;
  began_ = next_frame_ = now;
  next_report_ = now + kReportInterval;
  if (other.ssrc_known == 0 || other.run_open == 0) return;
  const RtpJitterState& newest = other.jitter[other.newest_jitter % kRtpJitterStates];
  const bool same_clock = rtp_clock_rate(other.payload_type_last) == format_.clock_rate_hz;
  if (newest.used == 0 || newest.ssrc != other.ssrc_last || !same_clock) return;
  ssrc_ = other.ssrc_last;
  shift.turn_to(ssrc_);
  continued_sequence_ = static_cast<uint16_t>(other.run_highest);
  sequence_ = static_cast<uint16_t>(*continued_sequence_ + 1 + shift.offset);
  const Duration since = now - from_ns(static_cast<int64_t>(newest.arrival_ns));
  timestamp_ = newest.timestamp + units(since, format_.clock_rate_hz);
}

Instant VoiceSource::play(Instant now, SourceOutput& output) {
  if (now - next_frame_ > kResync) next_frame_ = now;
  if (take_frame(frame_, now)) {
    const bool marker = frame_.starts_talk_spurt || !is_speaking(now);
    speak(frame_.payload.data(), frame_.payload_bytes, marker, output);
    spoke_ = true;
    last_spoken_ = now;
    path_->frames_spoken.add();
  } else if (!format_.idle_payloads.empty() && (other_party_ != OtherParty::muted || !passing_)) {
    const auto& payload = format_.idle_payloads[idle_index_++ % format_.idle_payloads.size()];
    speak(payload.data(), payload.size(), packets_sent_ == 0, output);
  }
  if (now >= next_report_ && packets_sent_ > 0) report(now, output);
  next_frame_ += kFrame;
  return next_frame_;
}

bool VoiceSource::take_frame(SpokenFrame& frame, Instant now) {
  const uint32_t epoch = path_->epoch.load(std::memory_order_acquire);
  while (path_->spoken.pop(frame)) {
    const bool is_current = frame.epoch == epoch;
    // First, so that who sees that the frame was taken sees when.
    if (is_current) path_->last_spoken_ns.store(to_ns(now), std::memory_order_relaxed);
    path_->frames_taken.fetch_add(1, std::memory_order_release);
    if (is_current) return true;
    path_->frames_discarded.add();
  }
  return false;
}

uint32_t VoiceSource::timestamp_at(Instant now) const {
  return timestamp_ + units(now - began_, format_.clock_rate_hz);
}

void VoiceSource::speak(const std::byte* payload, size_t payload_bytes, bool marker,
                        SourceOutput& output) {
  std::array<std::byte, kHeaderBytes + SpokenFrame::kPayloadBytesMax> packet;
  packet[0] = std::byte{0x80};
  packet[1] = static_cast<std::byte>((marker ? 0x80 : 0) | format_.payload_type);
  write_be16(packet, 2, sequence_++);
  // By the schedule, not by when the thread got to it: the far end's jitter would grow by that.
  write_be32(packet, 4, timestamp_at(next_frame_));
  write_be32(packet, 8, ssrc_);
  std::copy_n(payload, payload_bytes, packet.begin() + kHeaderBytes);
  output.emit(Component::rtp, Bytes(packet).first(kHeaderBytes + payload_bytes));
  ++packets_sent_;
  octets_sent_ += static_cast<uint32_t>(payload_bytes);
  passing_ = false;
  shift_to_follow();
}

// The other party's packets follow on ours, as passed and once we are gone.
void VoiceSource::shift_to_follow() {
  if (!continued_sequence_) return;
  shift_->offset = static_cast<uint16_t>(sequence_ - (*continued_sequence_ + 1));
}

void VoiceSource::note_other(Bytes packet) {
  if (!continued_sequence_ || packet.size() < kHeaderBytes || read_be32(packet, 8) != ssrc_) return;
  const uint16_t sequence = read_be16(packet, 2);
  const auto ahead = static_cast<int16_t>(static_cast<uint16_t>(sequence - *continued_sequence_));
  if (ahead <= 0) return;
  continued_sequence_ = sequence;
  shift_to_follow();
}

Bytes VoiceSource::instead_of(PacketKind kind, Bytes packet, Instant now,
                              std::span<std::byte> scratch) {
  if (kind == PacketKind::rtcp) return reports_only(packet, scratch);
  if (other_party_ != OtherParty::muted || is_speaking(now)) {
    note_other(packet);
    return {};
  }
  return pass(packet, now, scratch);
}

// The other party's RTP as part of our stream.
Bytes VoiceSource::pass(Bytes packet, Instant now, std::span<std::byte> scratch) {
  const auto rtp = RtpView::parse(packet);
  if (!rtp) return {};
  const bool goes_on = passing_ && rtp->ssrc() == other_ssrc_;
  if (!goes_on) {
    other_ssrc_ = rtp->ssrc();
    other_sequence_ = static_cast<uint16_t>(rtp->sequence() - 1);
    other_offset_ = timestamp_at(now) - rtp->timestamp();
  }
  passing_ = true;
  // Their losses and reorderings stay visible: the receiver conceals them.
  const auto step = static_cast<uint16_t>(rtp->sequence() - other_sequence_);
  const auto sequence = static_cast<uint16_t>(sequence_ - 1 + step);
  if (static_cast<int16_t>(step) > 0) {
    other_sequence_ = rtp->sequence();
    sequence_ = static_cast<uint16_t>(sequence + 1);
  }
  note_other(packet);
  std::copy(packet.begin(), packet.end(), scratch.begin());
  if (!goes_on) scratch[1] |= std::byte{0x80};
  // The plane adds the shift to what bears its SSRC.
  const bool is_shifted = shift_->ssrc == ssrc_;
  write_be16(scratch, 2,
             static_cast<uint16_t>(sequence - (is_shifted ? shift_->offset : uint16_t{0})));
  write_be32(scratch, 4, rtp->timestamp() + other_offset_);
  write_be32(scratch, 8, ssrc_);
  ++packets_sent_;
  octets_sent_ += static_cast<uint32_t>(rtp->payload().size());
  return scratch.first(packet.size());
}

// What the other party reports about this one's media is true; what it says of its own sending is
// not what arrives here. A sender report becomes a receiver report (RFC 3550 §6.4), by us; what
// follows it in the compound speaks of the other party and is left out.
Bytes VoiceSource::reports_only(Bytes packet, std::span<std::byte> scratch) const {
  if (packet.size() < 8) return {};
  const size_t bytes = (size_t{read_be16(packet, 2)} + 1) * 4;
  if (bytes < 8 || bytes > packet.size()) return {};
  const Bytes report = without_sender(packet.first(bytes), scratch);
  if (report.empty() || byte_at(report, 1) != kReceiverReport) return {};
  write_be32(scratch, 4, ssrc_);
  return report;
}

void VoiceSource::report(Instant now, SourceOutput& output) {
  next_report_ = now + kReportInterval;
  std::array<std::byte, kSenderReportBytes> packet;
  const SenderReport sent{ssrc_, ntp_now(), timestamp_at(now), packets_sent_, octets_sent_};
  output.emit(Component::rtcp, write_sender_report(sent, packet));
}

}  // namespace relay
