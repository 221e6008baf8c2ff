#include "relay/voice/uplink.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace relay {
namespace {

using namespace std::chrono_literals;

constexpr size_t kHeldMax = 8;
// Of one loss; longer ones are noise (spandsp's and Opus's concealment have faded by then).
constexpr int kConcealedMax = 3;
constexpr Duration kBufferedMax = 500ms;
// More than this for a second is lag that nobody needs: the sender's clock is faster than ours, or
// a burst came late.
constexpr Duration kLag = 50ms;
constexpr int kLaggingFramesMax = 50;
// While frames go out early, or one waits behind another, the schedule moves by this much a frame:
// faster than any two sound cards drift apart (0.1 %), so that it comes to follow the sender, and a
// frame that the clock has filled in for is made up for within a second.
constexpr Duration kPull = 500us;
constexpr Duration kResync = 100ms;
// We are asked every 20 ms; who asks later than this has been held up, and so perhaps has who hands
// packets over. What came meanwhile has a moment to get here before the clock fills in for it: of
// 100 calls 16 left 20 ms of their party out as lag after a halt of 90 ms.
constexpr Duration kHalt = 30ms;
constexpr Duration kHaltGrace = 10ms;
// A stream that was heard this recently is concealed rather than filled with noise.
constexpr Duration kAlive = 100ms;

int16_t distance(uint16_t from, uint16_t to) {
  return static_cast<int16_t>(static_cast<uint16_t>(to - from));
}

}  // namespace

Result<Uplink> Uplink::make(const PayloadTypes& types, uint32_t rate_hz) {
  if (auto tried = Resampler::make(8000, rate_hz); !tried) return tl::unexpected(tried.error());
  Uplink uplink(types, rate_hz);
  uplink.held_.reserve(kHeldMax);
  return uplink;
}

void Uplink::push(const HeardPacket& packet, const OnKeyPress& on_key_press) {
  ++counters_.packets;
  switch (types_.meaning_of(packet.payload_type)) {
    case PayloadTypes::Meaning::unknown:
      ++counters_.unreadable;
      return;
    case PayloadTypes::Meaning::telephone_event:
      if (const auto press = dtmf_.on_packet(packet, types_.clock_rate_hz(packet.payload_type)))
        on_key_press(*press);
      // They share the audio's sequence numbers.
      if (ssrc_ == packet.ssrc && packet.sequence == expected_) ++expected_;
      return;
    case PayloadTypes::Meaning::comfort_noise:
      if (packet.payload_bytes > 0) {
        noise_.set_level_dbov(-static_cast<int>(packet.payload[0] & std::byte{0x7F}));
      }
      if (ssrc_ == packet.ssrc && packet.sequence == expected_) ++expected_;
      return;
    case PayloadTypes::Meaning::audio:
      accept(packet);
      return;
  }
}

void Uplink::accept(const HeardPacket& packet) {
  if (ssrc_ != packet.ssrc) {
    ssrc_ = packet.ssrc;
    expected_ = packet.sequence;
    drop_held();
    if (decoder_) decoder_->reset();
  }
  const int ahead = distance(expected_, packet.sequence);
  // A jump: the sender began anew, or was away for long.
  if (std::abs(ahead) > 100) {
    drop_held();
    expected_ = packet.sequence;
    return decode(packet);
  }
  if (ahead < 0) {
    ++counters_.late;
    return;
  }
  if (ahead == 0) {
    decode(packet);
    return decode_held(from_ns(packet.arrival_ns));
  }
  const auto at = std::lower_bound(held_.begin(), held_.end(), packet,
                                   [&](const HeardPacket& held, const HeardPacket& wanted) {
                                     return distance(wanted.sequence, held.sequence) < 0;
                                   });
  if (at != held_.end() && at->sequence == packet.sequence) {
    ++counters_.late;
    return;
  }
  held_.insert(at, packet);
  decode_held(from_ns(packet.arrival_ns));
}

// What waited behind a gap of a stream that has begun anew.
void Uplink::drop_held() {
  counters_.late += held_.size();
  held_.clear();
}

// What is next in order; and what waits behind a gap for too long, with the gap concealed.
void Uplink::decode_held(Instant now) {
  while (!held_.empty()) {
    const HeardPacket& first = held_.front();
    const int missing = distance(expected_, first.sequence);
    const bool too_long = to_ns(now) - first.arrival_ns >= Duration(kReorderHold).count();
    if (missing > 0 && !too_long && held_.size() < kHeldMax) return;
    if (missing > 0 && decoder_ && payload_type_ == first.payload_type) {
      // The clock has filled in for what was not there in time; only what it has not is added.
      const int filled = concealed_in_a_row_;
      for (int i = filled; i < std::min(missing, kConcealedMax); ++i) conceal_frame();
    }
    const HeardPacket packet = first;
    held_.erase(held_.begin());
    decode(packet);
  }
}

void Uplink::decode(const HeardPacket& packet) {
  expected_ = static_cast<uint16_t>(packet.sequence + 1);
  const bool has_decoder = prepare_decoder(packet);
  const Bytes payload = Bytes(packet.payload).first(packet.payload_bytes);
  const size_t samples = has_decoder ? decoder_->decode(payload, scratch_) : 0;
  if (samples == 0) {
    ++counters_.unreadable;
    return;
  }
  append(std::span(scratch_).first(samples));
  last_arrival_ns_ = packet.arrival_ns;
  concealed_in_a_row_ = 0;
}

bool Uplink::prepare_decoder(const HeardPacket& packet) {
  if (payload_type_ == packet.payload_type) return decoder_ != nullptr;
  payload_type_ = packet.payload_type;
  CodecSettings settings;
  settings.sample_rate_hz = types_.sample_rate_hz(packet.payload_type, rate_hz_ > 8000);
  auto decoder = make_decoder(types_.codec_of(packet.payload_type), settings);
  decoder_ = decoder ? std::move(*decoder) : nullptr;
  resampler_.reset();
  if (decoder_ == nullptr) return false;
  auto resampler = Resampler::make(decoder_->sample_rate_hz(), rate_hz_);
  if (resampler) resampler_ = std::move(*resampler);
  return resampler_.has_value();
}

void Uplink::conceal_frame() {
  const size_t wanted = decoder_->sample_rate_hz() / 50;
  const size_t samples = decoder_->conceal(std::span(scratch_).first(wanted));
  append(std::span(scratch_).first(samples));
  ++counters_.concealed_frames;
}

void Uplink::append(std::span<const int16_t> samples) {
  while (!samples.empty()) {
    const auto step = resampler_->process(samples, resampled_);
    samples_.insert(samples_.end(), resampled_.begin(),
                    resampled_.begin() + static_cast<std::ptrdiff_t>(step.written));
    if (step.consumed == 0 && step.written == 0) break;
    samples = samples.subspan(step.consumed);
  }
  const size_t most = static_cast<size_t>(kBufferedMax / kVoiceFrame) * frame_samples();
  if (samples_.size() > most) {
    const size_t excess = samples_.size() - most;
    samples_.erase(samples_.begin(), samples_.begin() + static_cast<std::ptrdiff_t>(excess));
    counters_.skipped_frames += (excess + frame_samples() - 1) / frame_samples();
  }
}

bool Uplink::next(Instant now, std::span<int16_t> frame, const OnKeyPress& on_key_press) {
  if (const auto press = dtmf_.on_time(now)) on_key_press(*press);
  if (now - asked_ > kHalt) grace_until_ = now + kHaltGrace;
  asked_ = now;
  decode_held(now);
  // What was said during a halt goes up at once, since the endpoint has had nothing meanwhile;
  // noise for it does not.
  const bool owes_noise = now >= grace_until_ && !has_frame() && now - schedule_ > kResync;
  if (schedule_ == Instant{} || owes_noise) schedule_ = now;
  if (now < next_due()) return false;
  const bool is_early = now < schedule_;
  if (is_early) schedule_ -= std::min<Duration>(kPull, schedule_ - now);
  schedule_ += kVoiceFrame;
  pull(now, frame);
  if (!is_early && has_frame()) schedule_ -= kPull;
  return true;
}

void Uplink::pull(Instant now, std::span<int16_t> frame) {
  decode_held(now);
  if (has_frame()) {
    drop_lag();
    frame_arrival_ = from_ns(last_arrival_ns_);
    return take(frame);
  }
  const bool alive = decoder_ != nullptr && last_arrival_ns_ != 0 &&
                     to_ns(now) - last_arrival_ns_ < Duration(kAlive).count();
  if (alive && concealed_in_a_row_ < kConcealedMax) {
    ++concealed_in_a_row_;
    conceal_frame();
  }
  frame_arrival_.reset();
  const size_t there = std::min(samples_.size(), frame.size());
  take(frame.first(there));
  if (there == frame.size()) return;
  noise_.fill(frame.subspan(there));
  ++counters_.noise_frames;
}

void Uplink::drop_lag() {
  const auto lag = static_cast<size_t>(kLag / std::chrono::milliseconds(1)) * rate_hz_ / 1000;
  lagging_frames_ = samples_.size() > lag ? lagging_frames_ + 1 : 0;
  if (lagging_frames_ < kLaggingFramesMax) return;
  lagging_frames_ = 0;
  samples_.erase(samples_.begin(), samples_.begin() + static_cast<std::ptrdiff_t>(frame_samples()));
  ++counters_.skipped_frames;
}

void Uplink::take(std::span<int16_t> frame) {
  const auto end = samples_.begin() + static_cast<std::ptrdiff_t>(frame.size());
  std::copy(samples_.begin(), end, frame.begin());
  samples_.erase(samples_.begin(), end);
}

Duration Uplink::buffered() const {
  return std::chrono::nanoseconds(samples_.size() * 1'000'000'000 / rate_hz_);
}

}  // namespace relay
