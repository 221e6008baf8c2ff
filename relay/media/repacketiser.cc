#include "relay/media/repacketiser.h"

#include <algorithm>
#include <array>

#include "relay/base/assert.h"
#include "relay/media/codec.h"
#include "relay/rtp/demux.h"

namespace relay {
namespace {

constexpr uint32_t kSamplesPerMs = 8;  // the RTP clock of all codecs below
constexpr size_t kHeaderBytes = 12;
constexpr size_t kPacketBytesMax = 8192;  // planes receive no longer ones
constexpr size_t kPartsMax = 128;
constexpr Duration kWaitAtLeast = std::chrono::milliseconds(40);
// RFC 3550 A.1, MAX_MISORDER: further back than this is no reordering.
constexpr uint16_t kMisorderMax = 100;

struct Frame {
  uint32_t samples = 0;  // 0: not a codec that is re-packetised
  uint32_t bytes = 0;
  uint32_t round_to_ms = 10;
};

std::optional<AudioCodec> codec_of(uint8_t payload_type) {
  const auto codec = codec_of_payload_type(payload_type);
  if (!codec || traits_of(*codec).clock_rate_hz != kSamplesPerMs * 1000) return std::nullopt;
  return codec;
}

// PCMU, PCMA and G.722 have a byte a timestamp unit (RFC 3551 §4.5.2) and may be cut anywhere.
Frame frame_of(AudioCodec codec) {
  const CodecTraits& traits = traits_of(codec);
  if (traits.unit_ms == 1) return {1, static_cast<uint32_t>(traits.unit_bytes) / kSamplesPerMs, 10};
  return {traits.unit_ms * kSamplesPerMs, static_cast<uint32_t>(traits.unit_bytes),
          std::max<uint32_t>(traits.unit_ms, 10)};
}

// RFC 3551 §4.5.3, the two lowest bits of a frame; 0: not defined.
uint32_t g723_frame_bytes(Bytes frame) {
  constexpr std::array<uint32_t, 4> kBytes{24, 20, 4, 0};
  return kBytes[byte_at(frame, 0) & 3];
}

struct Length {
  uint32_t samples = 0;  // 0: it does not add up
  bool is_last = false;  // ends in a silence descriptor
};

Length g723_length(Bytes payload) {
  Length length;
  while (!payload.empty()) {
    const uint32_t bytes = g723_frame_bytes(payload);
    if (bytes == 0 || bytes > payload.size()) return {};
    length.samples += frame_of(AudioCodec::g723).samples;
    length.is_last = bytes == 4;
    payload = payload.subspan(bytes);
  }
  return length;
}

Length length_of(AudioCodec codec, Bytes payload) {
  if (codec == AudioCodec::g723) return g723_length(payload);
  const Frame frame = frame_of(codec);
  const auto whole = static_cast<uint32_t>(payload.size() / frame.bytes);
  if (payload.size() % frame.bytes == 0) return {whole * frame.samples, false};
  // RFC 3551 §4.5.6: a silence descriptor of two bytes may stand behind the frames.
  if (codec == AudioCodec::g729) return {(whole + 1) * frame.samples, true};
  return {};
}

// Of the first `samples` samples, which are whole frames.
uint32_t bytes_of(AudioCodec codec, Bytes payload, uint32_t samples) {
  const Frame frame = frame_of(codec);
  if (codec != AudioCodec::g723) return samples / frame.samples * frame.bytes;
  uint32_t bytes = 0;
  for (; samples > 0; samples -= frame.samples) bytes += g723_frame_bytes(payload.subspan(bytes));
  return bytes;
}

bool is_before(uint32_t a, uint32_t b) {
  return static_cast<int32_t>(a - b) < 0;
}
bool is_before(uint16_t a, uint16_t b) {
  return static_cast<int16_t>(a - b) < 0;
}

uint32_t rounded_up(uint32_t ms, uint32_t step_ms) {
  return (ms + step_ms - 1) / step_ms * step_ms;
}

}  // namespace

Repacketiser::Repacketiser(int ptime_ms)
    : ptime_ms_(ptime_ms),
      wait_at_most_(std::max<Duration>(2 * std::chrono::milliseconds(ptime_ms), kWaitAtLeast)) {
  RELAY_ASSERT(ptime_ms >= 1 && ptime_ms <= 999);
  parts_.reserve(kPartsMax);
  // What waits is less than a packet's worth when the next one comes.
  const uint32_t byte_a_sample = rounded_up(static_cast<uint32_t>(ptime_ms), 30) * kSamplesPerMs;
  bytes_.resize(kHeaderBytes + byte_a_sample + kPacketBytesMax);
}

uint32_t Repacketiser::target_samples(uint8_t payload_type) const {
  const Frame frame = frame_of(*codec_of(payload_type));
  return rounded_up(static_cast<uint32_t>(ptime_ms_), frame.round_to_ms) * kSamplesPerMs;
}

bool Repacketiser::on_packet(Bytes packet, Instant now, PacketSink& sink) {
  const auto view = RtpView::parse(packet);
  if (!view || packet.size() > kPacketBytesMax) {
    sink.emit(packet);
    return true;
  }
  if (started_ && view->ssrc() != ssrc_) {
    send_all(sink);
    started_ = false;
  }
  if (!started_) begin(*view);
  const bool restarted = is_out_of_place(*view);
  if (restarted) {
    send_all(sink);
    sent_known_ = false;
  }
  const bool is_newest = restarted || is_before(newest_, view->sequence());
  const auto codec = codec_of(view->payload_type());
  const Length length = codec ? length_of(*codec, view->payload()) : Length{};
  if (is_newest) advance(view->sequence());
  if (length.samples == 0) {
    send_all(sink);
    return pass(packet, *view, sink);
  }
  if (is_newest) newest_timestamp_ = view->timestamp();
  if (sent_known_ && is_before(view->timestamp(), sent_until_)) return false;
  if (parts_.size() == kPartsMax) send_all(sink);
  if (!enqueue(*view, length.samples, length.is_last, now)) return false;
  while (is_ready(now)) send_front(sink);
  return true;
}

Instant Repacketiser::on_time(Instant now, PacketSink& sink) {
  while (is_ready(now)) send_front(sink);
  return (parts_.empty() ? now : parts_.front().arrival) + wait_at_most_;
}

void Repacketiser::begin(const RtpView& packet) {
  started_ = true;
  ssrc_ = packet.ssrc();
  newest_ = static_cast<uint16_t>(packet.sequence() - 1);
  restart_ = packet.sequence();
  offset_ = 0;
  offset_since_ = packet.sequence();
  sent_known_ = false;
  newest_timestamp_ = packet.timestamp();
}

// Whether the sender has started its timestamps or its sequence anew. Otherwise a packet before
// those that have left is merely late.
bool Repacketiser::is_out_of_place(const RtpView& packet) {
  if (is_before(newest_, packet.sequence())) {
    const bool is_audio = codec_of(packet.payload_type()).has_value();
    return is_audio && is_before(packet.timestamp(), newest_timestamp_);
  }
  const auto behind = static_cast<uint16_t>(newest_ - packet.sequence());
  if (behind <= kMisorderMax) return false;
  const bool is_second = packet.sequence() == restart_;
  restart_ = static_cast<uint16_t>(packet.sequence() + 1);
  return is_second;
}

void Repacketiser::advance(uint16_t newest) {
  newest_ = newest;
  if (static_cast<uint16_t>(newest_ - offset_since_) > kMisorderMax) {
    offset_since_ = static_cast<uint16_t>(newest_ - kMisorderMax);
  }
}

bool Repacketiser::pass(Bytes packet, const RtpView& view, PacketSink& sink) {
  if (offset_ == 0) {
    sink.emit(packet);
    return true;
  }
  // Its number may have been given to another packet since.
  if (is_before(view.sequence(), offset_since_)) return false;
  std::copy(packet.begin(), packet.end(), bytes_.begin());
  const std::span<std::byte> copy = std::span(bytes_).first(packet.size());
  write_be16(copy, 2, static_cast<uint16_t>(view.sequence() + offset_));
  sink.emit(copy);
  return true;
}

// False: it is there already.
bool Repacketiser::enqueue(const RtpView& packet, uint32_t samples, bool is_last, Instant now) {
  auto place = parts_.end();
  auto at = static_cast<std::ptrdiff_t>(kHeaderBytes + queued_bytes_);
  while (place != parts_.begin() && is_before(packet.timestamp(), (place - 1)->timestamp)) {
    --place;
    at -= static_cast<std::ptrdiff_t>(place->bytes);
  }
  if (place != parts_.begin() && (place - 1)->timestamp == packet.timestamp()) return false;
  const Bytes payload = packet.payload();
  const auto from = bytes_.begin() + at;
  const auto end = bytes_.begin() + static_cast<std::ptrdiff_t>(kHeaderBytes + queued_bytes_);
  std::move_backward(from, end, end + static_cast<std::ptrdiff_t>(payload.size()));
  std::copy(payload.begin(), payload.end(), from);
  Part part;
  part.timestamp = packet.timestamp();
  part.samples = samples;
  part.bytes = static_cast<uint32_t>(payload.size());
  part.sequence = packet.sequence();
  part.payload_type = packet.payload_type();
  part.marker = packet.marker();
  part.is_last = is_last;
  part.arrival = now;
  parts_.insert(place, part);
  queued_samples_ += samples;
  queued_bytes_ += payload.size();
  return true;
}

bool Repacketiser::is_ready(Instant now) const {
  if (parts_.empty()) return false;
  const Part& first = parts_.front();
  return queued_samples_ >= target_samples(first.payload_type) ||
         now - first.arrival >= wait_at_most_ ||
         std::any_of(parts_.begin(), parts_.end(), [](const Part& part) { return part.is_last; });
}

Repacketiser::Run Repacketiser::front_run() const {
  Run run;
  const Part& first = parts_.front();
  const AudioCodec codec = *codec_of(first.payload_type);
  const uint32_t target = target_samples(first.payload_type);
  for (const Part& part : parts_) {
    if (part.payload_type != first.payload_type ||
        part.timestamp != first.timestamp + run.samples) {
      return run;
    }
    run.marker = run.marker || part.marker;
    const uint32_t room = target - run.samples;
    if (part.samples > room) {
      const Bytes payload = std::span(bytes_).subspan(kHeaderBytes + run.bytes, part.bytes);
      run.part_samples = room;
      run.part_bytes = bytes_of(codec, payload, room);
      return run;
    }
    run.samples += part.samples;
    run.bytes += part.bytes;
    ++run.whole_parts;
    if (part.is_last || run.samples == target) return run;
  }
  return run;
}

void Repacketiser::send_front(PacketSink& sink) {
  const Run run = front_run();
  const Part first = parts_.front();
  // Holes in what came stay holes.
  const auto sequence = static_cast<uint16_t>(first.sequence + offset_);
  const bool is_cut = run.part_samples > 0;
  const Part& last = parts_[run.whole_parts - (is_cut ? 0 : 1)];
  const auto next_in = static_cast<uint16_t>(last.sequence + (is_cut ? 0 : 1));
  const std::span<std::byte> packet =
      std::span(bytes_).first(kHeaderBytes + run.bytes + run.part_bytes);
  packet[0] = std::byte{0x80};
  packet[1] = static_cast<std::byte>((run.marker ? 0x80 : 0) | first.payload_type);
  write_be16(packet, 2, sequence);
  write_be32(packet, 4, first.timestamp);
  write_be32(packet, 8, ssrc_);
  sink.emit(packet);
  sent_known_ = true;
  sent_until_ = first.timestamp + run.samples + run.part_samples;
  const auto offset = static_cast<uint16_t>(sequence + 1 - next_in);
  if (offset != offset_) offset_since_ = next_in;
  offset_ = offset;
  take_off(run);
}

void Repacketiser::send_all(PacketSink& sink) {
  while (!parts_.empty()) send_front(sink);
}

void Repacketiser::take_off(const Run& run) {
  const size_t taken = run.bytes + run.part_bytes;
  const auto begin = bytes_.begin() + kHeaderBytes;
  std::copy(begin + static_cast<std::ptrdiff_t>(taken),
            begin + static_cast<std::ptrdiff_t>(queued_bytes_), begin);
  queued_bytes_ -= taken;
  queued_samples_ -= run.samples + run.part_samples;
  parts_.erase(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(run.whole_parts));
  if (run.part_samples == 0) return;
  Part& rest = parts_.front();
  rest.timestamp += run.part_samples;
  rest.samples -= run.part_samples;
  rest.bytes -= run.part_bytes;
  rest.marker = false;
}

}  // namespace relay
