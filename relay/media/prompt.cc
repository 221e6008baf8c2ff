#include "relay/media/prompt.h"

#include <algorithm>
#include <limits>
#include <random>

#include "relay/base/assert.h"
#include "relay/rtp/demux.h"
#include "relay/rtp/rtcp_rewrite.h"
#include "relay/rtp/rtp_header.h"

namespace relay {
namespace {

using namespace std::chrono_literals;

// All codecs of prompts, G.722 included (RFC 3551 §4.5.2).
constexpr uint32_t kClockHz = 8000;
constexpr uint32_t kTicksPerMs = kClockHz / 1000;
// Later than this, the packets that should have left are not made up for.
constexpr Duration kStallMax = 60ms;
// No phone's packet is longer, nor is the way to us that much longer for one packet than another.
constexpr Duration kPacketMax = 60ms;
// RFC 3550 §6.2: five seconds, and half of that before the first.
constexpr Duration kReportInterval = 5s;
constexpr Duration kFirstReport = 2500ms;
constexpr int64_t kFrom1900To1970S = 2'208'988'800;
constexpr int64_t kNotOver = std::numeric_limits<int64_t>::max();

uint32_t to_ticks(Duration duration) {
  constexpr int64_t kNsPerTick = 1'000'000'000 / kClockHz;
  return static_cast<uint32_t>(duration.count() / kNsPerTick);
}

Duration wall_clock_offset() {
  timespec wall{};
  ::clock_gettime(CLOCK_REALTIME, &wall);
  const Duration since_1970 = std::chrono::seconds(wall.tv_sec) + Duration(wall.tv_nsec);
  return since_1970 + std::chrono::seconds(kFrom1900To1970S) - steady_now().time_since_epoch();
}

uint64_t to_ntp(Duration since_1900) {
  constexpr int64_t kNsPerS = 1'000'000'000;
  const auto seconds = static_cast<uint64_t>(since_1900.count() / kNsPerS);
  const auto rest_ns = static_cast<uint64_t>(since_1900.count() % kNsPerS);
  return seconds << 32 | (rest_ns << 32) / kNsPerS;
}

// The last that is known of the timestamps of the other party's stream; null unless its clock is a
// prompt's. Types that signalling defines are not timed, so one of those that came last (DTMF) is
// not taken for the stream's own.
const RtpJitterState* timing_of(const RtpStreamState& other) {
  const uint32_t rate = rtp_clock_rate(other.payload_type_last);
  if (rate != 0 && rate != kClockHz) return nullptr;
  const auto found =
      std::find_if(std::begin(other.jitter), std::end(other.jitter), [&](const auto& timing) {
        return timing.used != 0 && timing.ssrc == other.ssrc_last && timing.known_timestamps != 0;
      });
  return found == std::end(other.jitter) ? nullptr : found;
}

// How much the last packet of the stream holds, as the step between its last two timestamps says.
Duration last_packet_of(const RtpJitterState& timing) {
  if (timing.known_timestamps < 2) return 0ms;
  const uint32_t before =
      timing.timestamps[(timing.next_timestamp + kRtpTimestamps - 2U) % kRtpTimestamps];
  const Duration step = std::chrono::milliseconds((timing.timestamp - before) / kTicksPerMs);
  return step <= kPacketMax ? step : 0ms;
}

}  // namespace

Prompt::Prompt(Settings settings)
    : settings_(std::move(settings)),
      packet_(prompt_packet(settings_.audio->codec, settings_.packet_ms)),
      wall_clock_(wall_clock_offset()),
      times_left_(settings_.count),
      times_left_shown_(settings_.count),
      over_at_ns_(kNotOver) {
  RELAY_ASSERT(settings_.count != 0 && settings_.audio->payload.size() >= packet_.bytes);
  std::random_device random;
  ssrc_ = random();
  timestamp_ = random();
  sequence_ = static_cast<uint16_t>(random());
}

void Prompt::start(const RtpStreamState& other, SequenceShift& shift, Instant now) {
  shift_ = &shift;
  due_ = now;
  heard_other_ = other.run_open != 0;
  if (heard_other_) {
    shift.turn_to(other.ssrc_last);
    highest_heard_ = static_cast<uint16_t>(other.run_highest);
    last_left_ = static_cast<uint16_t>(highest_heard_ + shift.offset);
  }
  goes_on_ = heard_other_ && go_on_with(other);
  if (!goes_on_) begin_own_stream();
}

// Begins where the last packet heard ends, not into it.
bool Prompt::go_on_with(const RtpStreamState& other) {
  const RtpJitterState* timing = timing_of(other);
  if (timing == nullptr) return false;
  const Instant arrival = from_ns(static_cast<int64_t>(timing->arrival_ns));
  due_ = std::max(due_, arrival + last_packet_of(*timing));
  ssrc_ = other.ssrc_last;
  sequence_ = static_cast<uint16_t>(last_left_ + 1);
  timestamp_ = timing->timestamp + to_ticks(due_ - arrival);
  return true;
}

void Prompt::begin_own_stream() {
  const OwnStream& own = shift_->own;
  if (own.known) {
    ssrc_ = own.ssrc;
    sequence_ = own.sequence;
    due_ = std::max(due_, own.at);
    timestamp_ = own.timestamp + to_ticks(due_ - own.at);
  }
  next_report_ = due_ + kFirstReport;
}

Instant Prompt::play(Instant now, SourceOutput& output) {
  if (times_left_ == 0) return Instant::max();
  if (now - due_ > kStallMax) {
    const auto missed = std::chrono::floor<std::chrono::milliseconds>(now - due_);
    due_ += missed;
    timestamp_ += to_ticks(missed);
  }
  while (times_left_ != 0 && due_ <= now) play_packet(output);
  if (!goes_on_) report(now, output);
  if (times_left_ != 0) return due_;
  over_at_ns_.store(to_ns(due_ + kPacketMax), std::memory_order_release);
  return Instant::max();
}

void Prompt::play_packet(SourceOutput& output) {
  const std::span packet = std::span(buffer_).first(kRtpHeaderBytes + packet_.bytes);
  const int type = traits_of(settings_.audio->codec).payload_type;
  packet[0] = std::byte{0x80};
  packet[1] = static_cast<std::byte>(type | (marker_ ? 0x80 : 0));
  write_be16(packet, 2, sequence_);
  write_be32(packet, 4, timestamp_);
  write_be32(packet, 8, ssrc_);
  const Bytes file = settings_.audio->payload;
  const Bytes payload = file.subspan(next_in_file_ * packet_.bytes, packet_.bytes);
  std::copy(payload.begin(), payload.end(), packet.begin() + kRtpHeaderBytes);
  output.emit(Component::rtp, packet);

  marker_ = false;
  ++sequence_;
  timestamp_ += packet_.ms * kTicksPerMs;
  due_ += std::chrono::milliseconds(packet_.ms);
  count_packet(packet_.bytes);
  // What is left of the file is no whole packet: dropped, also between two times.
  if ((++next_in_file_ + 1) * packet_.bytes <= file.size()) return;
  next_in_file_ = 0;
  if (times_left_ > 0) --times_left_;
  times_left_shown_.store(times_left_, std::memory_order_relaxed);
}

void Prompt::count_packet(size_t payload_bytes) {
  packets_played_.store(packets_played_.load(std::memory_order_relaxed) + 1,
                        std::memory_order_relaxed);
  if (goes_on_) {
    ++last_left_;
    ++shift_->packets;
    shift_->octets += static_cast<uint32_t>(payload_bytes);
    shift_->offset = static_cast<uint16_t>(last_left_ - highest_heard_);
    return;
  }
  ++own_packets_;
  own_octets_ += static_cast<uint32_t>(payload_bytes);
  shift_->own = {true, ssrc_, sequence_, timestamp_, due_};
}

void Prompt::report(Instant now, SourceOutput& output) {
  if (now < next_report_) return;
  next_report_ = now + kReportInterval;
  SenderReport sent;
  sent.ssrc = ssrc_;
  sent.ntp = to_ntp(now.time_since_epoch() + wall_clock_);
  sent.timestamp = timestamp_ - to_ticks(due_ - now);
  sent.packets = own_packets_;
  sent.octets = own_octets_;
  std::array<std::byte, kSenderReportBytes> packet;
  output.emit(Component::rtcp, write_sender_report(sent, packet));
}

Bytes Prompt::instead_of(PacketKind kind, Bytes packet, Instant now, std::span<std::byte> scratch) {
  if (shift_ == nullptr) return packet;  // on its way before the prompt was asked to start
  const bool speaking = is_speaking(now);
  if (kind == PacketKind::rtcp) {
    if (!speaking) return packet;
    return goes_on_ ? without_goodbye(packet, scratch) : without_sender(packet, scratch);
  }
  if (!speaking && !is_heard_into_the_end(packet, now)) return packet;
  swallow(packet);
  return {};
}

// Its timestamp lies before the prompt's end: on the way here it took longer than others.
bool Prompt::is_heard_into_the_end(Bytes packet, Instant now) const {
  return goes_on_ && now - due_ < kPacketMax && read_be32(packet, 8) == ssrc_ &&
         static_cast<int32_t>(read_be32(packet, 4) - timestamp_) < 0;
}

// The next packet that is let through comes right after the last one that left.
void Prompt::swallow(Bytes packet) {
  if (!heard_other_ || read_be32(packet, 8) != shift_->ssrc) return;
  const uint16_t sequence = read_be16(packet, 2);
  const auto ahead = static_cast<int16_t>(sequence - highest_heard_);
  const bool restarted = ahead < -static_cast<int>(kRtpRunDistanceMax);
  if (ahead > 0 || restarted) highest_heard_ = sequence;
  shift_->offset = static_cast<uint16_t>(last_left_ - highest_heard_);
  const auto view = RtpView::parse(packet);
  --shift_->packets;
  shift_->octets -= static_cast<uint32_t>(view ? view->payload().size() : 0);
}

Prompt::Progress Prompt::progress() const {
  const uint64_t packets = packets_played_.load(std::memory_order_relaxed);
  const uint64_t in_file = packets % (settings_.audio->payload.size() / packet_.bytes);
  return {packets, std::chrono::milliseconds(in_file * packet_.ms),
          times_left_shown_.load(std::memory_order_relaxed)};
}

bool Prompt::is_over(Instant now) const {
  return to_ns(now) >= over_at_ns_.load(std::memory_order_acquire);
}

}  // namespace relay
