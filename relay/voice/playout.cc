#include "relay/voice/playout.h"

#include <algorithm>
#include <utility>

#include "relay/media/g711.h"

namespace relay {
namespace {

constexpr Duration kFrame = std::chrono::milliseconds(20);
constexpr Duration kPartialFrameWait = std::chrono::milliseconds(40);
constexpr Duration kPrebufferStep = std::chrono::milliseconds(20);
// What comes this soon after the queue has run dry belongs to the same reply and came too late.
constexpr Duration kUnderrunMax = std::chrono::milliseconds(200);
// Frames kept at the worker: enough for a voice thread that is held up, little to encode in vain
// when it is cleared.
constexpr uint64_t kFramesAhead = 6;

Duration duration_of(uint64_t samples, uint32_t rate_hz) {
  return std::chrono::nanoseconds(samples * 1'000'000'000 / rate_hz);
}

}  // namespace

Playout::Playout(const Settings& settings, std::shared_ptr<VoicePath> path)
    : settings_(settings), path_(std::move(path)), prebuffer_(settings.prebuffer) {
  frame_.resize(frame_samples());
}

Result<Playout> Playout::make(const Settings& settings, std::shared_ptr<VoicePath> path) {
  Playout playout(settings, std::move(path));
  CodecSettings codec;
  codec.sample_rate_hz = settings.rate_hz;
  auto encoder = make_encoder(settings.codec, codec);
  if (!encoder) return tl::unexpected(encoder.error());
  playout.encoder_ = std::move(*encoder);
  return playout;
}

void Playout::play_samples(Samples samples, int rate_hz) {
  Resampler* resampler = resampler_from(rate_hz);
  if (resampler == nullptr || samples.empty()) return;
  if (reply_ended_) reply_began_ = given_;
  reply_ended_ = false;
  while (!samples.empty()) {
    const auto step = resampler->process(samples, scratch_);
    append(std::span(scratch_).first(step.written));
    if (step.consumed == 0 && step.written == 0) return;
    samples = samples.subspan(step.consumed);
  }
}

void Playout::play_g711(AudioFormat::Encoding encoding, Octets octets) {
  std::array<int16_t, 1024> linear;
  while (!octets.empty()) {
    const Octets piece = octets.first(std::min(octets.size(), linear.size()));
    std::transform(piece.begin(), piece.end(), linear.begin(), [&](uint8_t code) {
      return encoding == AudioFormat::Encoding::pcmu ? g711::mu_to_linear(code)
                                                     : g711::a_to_linear(code);
    });
    play_samples(Samples(linear).first(piece.size()), 8000);
    octets = octets.subspan(piece.size());
  }
}

Resampler* Playout::resampler_from(int rate_hz) {
  if (rate_hz != from_rate_hz_) {
    auto made = Resampler::make(static_cast<uint32_t>(rate_hz), settings_.rate_hz);
    if (!made) return nullptr;
    resampler_ = std::move(*made);
    from_rate_hz_ = rate_hz;
  }
  return &*resampler_;
}

void Playout::append(std::span<const int16_t> samples) {
  const size_t most = static_cast<size_t>(kQueueMax / kFrame) * frame_samples();
  const size_t room = most - std::min(most, samples_.size());
  if (samples.size() > room) {
    counters_.dropped_samples += samples.size() - room;
    samples = samples.first(room);
  }
  samples_.insert(samples_.end(), samples.begin(), samples.end());
  given_ += samples.size();
}

// A last partial frame would wait for more that does not come.
void Playout::end_of_reply() {
  const size_t partial = samples_.size() % frame_samples();
  if (partial != 0) {
    const size_t missing = frame_samples() - partial;
    samples_.insert(samples_.end(), missing, int16_t{0});
    given_ += missing;
  }
  reply_ended_ = true;
}

void Playout::mark(MarkId id) {
  marks_.push_back({id, given_});
}

Duration Playout::clear() {
  const Duration unheard = duration_of(given_ - spoken_position(), settings_.rate_hz);
  look_at_sent();
  path_->epoch.fetch_add(1, std::memory_order_release);
  samples_.clear();
  for (const Mark& mark : marks_) cleared_.push_back(mark.id);
  marks_.clear();
  sent_.clear();
  epoch_first_frame_ = frames_pushed_;
  given_ = framed_ = spoken_before_;
  in_spurt_ = false;
  reply_ended_ = true;
  dry_since_.reset();
  if (resampler_) resampler_->reset();
  encoder_->reset();
  return unheard;
}

// Not every protocol tells when a reply ends: what is left of it is less than a frame, or less than
// the prebuffer where it began again after an underrun or is all there is.
void Playout::fill_up_what_waits(Instant now) {
  if (given_ != given_when_looked_) {
    given_when_looked_ = given_;
    given_at_ = now;
    if (dry_since_ && now - *dry_since_ <= kUnderrunMax) {
      ++counters_.underruns;
      prebuffer_ = std::min(prebuffer_ + kPrebufferStep, kPrebufferMax);
    }
    dry_since_.reset();
  }
  const bool waits = !samples_.empty() && (!in_spurt_ || samples_.size() < frame_samples());
  const Duration wait = in_spurt_ ? kPartialFrameWait : std::max(kPartialFrameWait, prebuffer_);
  if (!reply_ended_ && waits && now - given_at_ >= wait) end_of_reply();
}

void Playout::pump(Instant now, const OnMark& on_mark) {
  fill_up_what_waits(now);
  while (frames_ahead() < kFramesAhead && samples_.size() >= frame_samples() && may_begin()) {
    const auto end = samples_.begin() + static_cast<std::ptrdiff_t>(frame_samples());
    std::copy(samples_.begin(), end, frame_.begin());
    if (!send_frame(frame_, frame_samples())) break;
    samples_.erase(samples_.begin(), end);
  }
  // The worker has nothing left: an underrun, or the reply's end, which not every protocol tells.
  if (in_spurt_ && frames_ahead() == 0 && samples_.size() < frame_samples()) {
    in_spurt_ = false;
    if (!reply_ended_) dry_since_ = now;
  }
  tell_marks(on_mark);
}

void Playout::pump_mixed(Instant now, const Mix& mix, const OnMark& on_mark) {
  fill_up_what_waits(now);
  const size_t there = std::min(samples_.size(), frame_samples());
  const bool speaks = there == frame_samples() && may_begin();
  std::fill(frame_.begin(), frame_.end(), int16_t{0});
  if (speaks) {
    const auto end = samples_.begin() + static_cast<std::ptrdiff_t>(there);
    std::copy(samples_.begin(), end, frame_.begin());
    samples_.erase(samples_.begin(), end);
  }
  mix(frame_, speaks);
  send_frame(frame_, speaks ? frame_samples() : 0);
  in_spurt_ = speaks;
  tell_marks(on_mark);
}

bool Playout::may_begin() const {
  if (in_spurt_ || reply_ended_) return true;
  return duration_of(samples_.size(), settings_.rate_hz) >= prebuffer_;
}

bool Playout::send_frame(std::span<const int16_t> samples, size_t of_endpoint) {
  SpokenFrame frame;
  frame.epoch = path_->epoch.load(std::memory_order_relaxed);
  frame.starts_talk_spurt = !in_spurt_;
  frame.payload_bytes = static_cast<uint16_t>(encoder_->encode(samples, frame.payload));
  if (!path_->spoken.push(std::move(frame))) return false;
  in_spurt_ = true;
  framed_ += of_endpoint;
  sent_.push_back({framed_, {}});
  if (on_sent_) sent_.back().samples.assign(samples.begin(), samples.end());
  ++frames_pushed_;
  ++counters_.frames;
  return true;
}

uint64_t Playout::frames_ahead() const {
  const uint64_t taken = path_->frames_taken.load(std::memory_order_acquire);
  return frames_pushed_ - std::max(std::min(taken, frames_pushed_), epoch_first_frame_);
}

// Where the worker is, in samples.
uint64_t Playout::spoken_position() const {
  const uint64_t ahead = std::min<uint64_t>(frames_ahead(), sent_.size());
  if (sent_.size() == ahead) return spoken_before_;
  return sent_[sent_.size() - ahead - 1].position;
}

void Playout::look_at_sent() {
  const size_t ahead = static_cast<size_t>(frames_ahead());
  const Instant newest = from_ns(path_->last_slot_ns.load(std::memory_order_relaxed));
  while (sent_.size() > ahead) {
    const auto later = static_cast<int64_t>(sent_.size() - ahead - 1);
    if (on_sent_) on_sent_(newest - later * kFrame, sent_.front().samples);
    spoken_before_ = sent_.front().position;
    sent_.pop_front();
  }
}

void Playout::tell_marks(const OnMark& on_mark) {
  const uint64_t spoken = spoken_position();
  look_at_sent();
  for (; !cleared_.empty(); cleared_.pop_front()) on_mark(cleared_.front(), MarkFate::cleared);
  for (; !marks_.empty() && marks_.front().position <= spoken; marks_.pop_front()) {
    on_mark(marks_.front().id, MarkFate::played);
  }
}

Duration Playout::queued() const {
  return duration_of(given_ - spoken_position(), settings_.rate_hz);
}

Duration Playout::played_of_reply() const {
  const uint64_t spoken = spoken_position();
  return duration_of(spoken - std::min(spoken, reply_began_), settings_.rate_hz);
}

}  // namespace relay
