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
// What the other party has sent may reach this far ahead: a packet of 60 ms that was early. Beyond
// that its clock has jumped, and ours is gone by.
constexpr Duration kAheadMax = std::chrono::milliseconds(100);
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

// Rounded up, so that units() of it are no fewer.
Duration time_of(uint32_t units, uint32_t clock_rate_hz) {
  return std::chrono::microseconds((uint64_t{units} * 1'000'000 + clock_rate_hz - 1) /
                                   clock_rate_hz);
}

}  // namespace

VoiceSource::VoiceSource(VoiceId id, std::shared_ptr<VoicePath> path, VoiceStreamFormat format,
                         OtherParty other_party, const Beginning& beginning)
    : id_(id),
      path_(std::move(path)),
      format_(std::move(format)),
      other_party_(other_party),
      // What the voice thread mixes comes by a clock: early, there would only be less of a buffer.
      lead_max_(other_party == OtherParty::mixed_in ? Duration{} : kLead),
      ssrc_(beginning.random_ssrc),
      sequence_(beginning.random_sequence),
      timestamp_(beginning.random_timestamp) {}

void VoiceSource::start(const RtpStreamState& other, SequenceShift& shift, Instant now) {
  shift_ = &shift;
  began_ = slot_ = now;
  covered_until_ = timestamp_;
  next_report_ = now + kReportInterval;
  if (other.ssrc_known == 0 || other.run_open == 0) return;
  const RtpJitterState& newest = other.jitter[other.newest_jitter % kRtpJitterStates];
  const bool same_clock = rtp_clock_rate(other.payload_type_last) == format_.clock_rate_hz;
  if (newest.used == 0 || newest.ssrc != other.ssrc_last || !same_clock) return;
  continue_stream(other, newest, now);
}

// A party that has been hearing the other one goes on hearing the same stream.
void VoiceSource::continue_stream(const RtpStreamState& other, const RtpJitterState& newest,
                                  Instant now) {
  ssrc_ = other.ssrc_last;
  shift_->turn_to(ssrc_);
  continued_sequence_ = static_cast<uint16_t>(other.run_highest);
  sequence_ = static_cast<uint16_t>(*continued_sequence_ + 1 + shift_->offset);
  const Duration since = now - from_ns(static_cast<int64_t>(newest.arrival_ns));
  timestamp_ = newest.timestamp + units(since, format_.clock_rate_hz);
  covered_until_ = newest.timestamp + frame_units();
  other_ssrc_ = ssrc_;
  other_sequence_ = *continued_sequence_;
  other_timestamp_ = newest.timestamp;
  passing_ = other_party_ == OtherParty::muted && since < kResync;
}

Instant VoiceSource::play(Instant now, SourceOutput& output) {
  find_slot(now);
  const bool is_early = now < slot_ - lead_;
  const bool speaks = take_frame(frame_, now);
  if (speaks) {
    speak_frame(now, is_early, output);
  } else if (!is_early) {
    speak_idle(output);
  }
  if (now >= next_report_ && packets_sent_ > 0) report(now, output);
  if (speaks || !is_early) slot_ += kFrame;
  const Instant early = slot_ - lead_max_;
  if (speaks || now >= early) return slot_ - lead_;
  // What the other party's packet covers is no reason to look less often.
  return passing_ ? std::min(early, now + kLead) : early;
}

void VoiceSource::find_slot(Instant now) {
  if (now - slot_ > kResync) {
    slot_ = now;
    lead_ = {};
  }
  slot_ += time_of(covered_from(timestamp_at(slot_)), format_.clock_rate_hz);
}

void VoiceSource::speak_frame(Instant now, bool is_early, SourceOutput& output) {
  const bool marker = frame_.starts_talk_spurt || is_early || !is_speaking(now);
  speak(frame_.payload.data(), frame_.payload_bytes, marker, output);
  if (is_early) lead_ = lead_max_;
  spoke_ = true;
  last_spoken_ = slot_;
  path_->frames_spoken.add();
}

void VoiceSource::speak_idle(SourceOutput& output) {
  const bool pauses = format_.idle_payloads.empty() || passing_;
  lead_ = pauses ? Duration{} : std::max(lead_ - kLeadDecay, Duration{});
  if (pauses) return;
  const auto& payload = format_.idle_payloads[idle_index_++ % format_.idle_payloads.size()];
  speak(payload.data(), payload.size(), packets_sent_ == 0, output);
}

bool VoiceSource::take_frame(SpokenFrame& frame, Instant now) {
  const uint32_t epoch = path_->epoch.load(std::memory_order_acquire);
  while (path_->spoken.pop(frame)) {
    const bool is_current = frame.epoch == epoch;
    // First, so that who sees that the frame was taken sees when.
    if (is_current) {
      path_->last_spoken_ns.store(to_ns(now), std::memory_order_relaxed);
      path_->last_slot_ns.store(to_ns(slot_), std::memory_order_relaxed);
    }
    path_->frames_taken.fetch_add(1, std::memory_order_release);
    if (is_current) return true;
    path_->frames_discarded.add();
  }
  return false;
}

uint32_t VoiceSource::timestamp_at(Instant now) const {
  return timestamp_ + units(now - began_, format_.clock_rate_hz);
}

// How much of what follows `timestamp` has been spoken of, by ours or the other party's packets.
uint32_t VoiceSource::covered_from(uint32_t timestamp) const {
  const uint32_t ahead = covered_until_ - timestamp;
  return ahead <= units(kAheadMax, format_.clock_rate_hz) ? ahead : 0;
}

void VoiceSource::speak(const std::byte* payload, size_t payload_bytes, bool marker,
                        SourceOutput& output) {
  std::array<std::byte, kHeaderBytes + SpokenFrame::kPayloadBytesMax> packet;
  packet[0] = std::byte{0x80};
  packet[1] = static_cast<std::byte>((marker ? 0x80 : 0) | format_.payload_type);
  write_be16(packet, 2, sequence_++);
  // By the schedule, not by when the thread got to it: the far end's jitter would grow by that.
  const uint32_t timestamp = timestamp_at(slot_);
  write_be32(packet, 4, timestamp);
  write_be32(packet, 8, ssrc_);
  std::copy_n(payload, payload_bytes, packet.begin() + kHeaderBytes);
  output.emit(Component::rtp, Bytes(packet).first(kHeaderBytes + payload_bytes));
  ++packets_sent_;
  octets_sent_ += static_cast<uint32_t>(payload_bytes);
  covered_until_ = timestamp + frame_units();
  passing_ = false;
  other_ssrc_.reset();
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
  passing_ = true;
  const bool goes_on = other_ssrc_ == rtp->ssrc();
  if (!goes_on && covered_from(timestamp_at(now)) != 0) {
    note_other(packet);
    return {};
  }
  if (!goes_on) {
    other_ssrc_ = rtp->ssrc();
    other_sequence_ = static_cast<uint16_t>(rtp->sequence() - 1);
    other_offset_ = timestamp_at(now) - rtp->timestamp();
  }
  // Their losses and reorderings stay visible: the receiver conceals them.
  const auto step = static_cast<uint16_t>(rtp->sequence() - other_sequence_);
  const auto sequence = static_cast<uint16_t>(sequence_ - 1 + step);
  if (static_cast<int16_t>(step) > 0) {
    cover_other(*rtp, goes_on && step == 1);
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

// A packet is taken to be as long as the one before it was.
void VoiceSource::cover_other(const RtpView& rtp, bool follows) {
  const uint32_t since = rtp.timestamp() - other_timestamp_;
  const bool is_length = follows && since != 0 && since <= 3 * frame_units();
  covered_until_ = rtp.timestamp() + other_offset_ + (is_length ? since : frame_units());
  other_timestamp_ = rtp.timestamp();
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
