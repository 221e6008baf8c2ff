#include "relay/voice/voice_dialogue.h"

#include <algorithm>
#include <utility>

#include "relay/base/assert.h"
#include "relay/media/g711.h"

namespace relay {
namespace {

constexpr uint32_t kG711RateHz = 8000;
constexpr Duration kPumpInterval = std::chrono::milliseconds(20);
// The other party while the endpoint speaks over it: 6 dB down.
constexpr int kDuckDivisor = 2;

uint32_t rate_of(const AudioFormat& format) {
  return format.encoding == AudioFormat::Encoding::s16 ? static_cast<uint32_t>(format.rate_hz)
                                                       : kG711RateHz;
}

int16_t saturated(int sum) {
  return static_cast<int16_t>(std::clamp(sum, -32768, 32767));
}

}  // namespace

Result<std::unique_ptr<VoiceDialogue>> VoiceDialogue::make(const VoiceDialogueSettings& settings,
                                                           VoiceMeasures& measures,
                                                           OnEvent on_event,
                                                           OnKeyPress on_key_press) {
  std::unique_ptr<VoiceDialogue> dialogue(
      new VoiceDialogue(settings, measures, std::move(on_event), std::move(on_key_press)));
  if (auto opened = dialogue->open(); !opened) return tl::unexpected(opened.error());
  return dialogue;
}

VoiceDialogue::VoiceDialogue(const VoiceDialogueSettings& settings, VoiceMeasures& measures,
                             OnEvent on_event, OnKeyPress on_key_press)
    : settings_(settings),
      measures_(measures),
      on_event_(std::move(on_event)),
      on_key_press_(std::move(on_key_press)) {
  RELAY_ASSERT(settings_.near.path != nullptr);
}

Result<void> VoiceDialogue::open() {
  const uint32_t rate_hz = rate_of(settings_.up);
  auto near = Uplink::make(settings_.types, rate_hz);
  if (!near) return tl::unexpected(near.error());
  near_ = std::move(*near);
  near_frame_.resize(rate_hz / 50);
  if (settings_.up.channels == 2) {
    auto far = Uplink::make(settings_.types, rate_hz);
    if (!far) return tl::unexpected(far.error());
    far_ = std::move(*far);
    far_frame_.resize(near_frame_.size());
    stereo_frame_.resize(near_frame_.size() * 2);
  }
  octets_.resize(near_frame_.size() * static_cast<size_t>(settings_.up.channels));
  if (auto opened = open_mouth(settings_.near, true); !opened) return opened;
  return open_mouth(settings_.far, false);
}

Result<void> VoiceDialogue::open_mouth(const VoiceDialogueSettings::Leg& leg, bool is_near) {
  if (!leg.speaks) return {};
  auto playout = Playout::make(leg.playout, leg.path);
  if (!playout) return tl::unexpected(playout.error());
  if (is_near) {
    if (auto opened = open_echo(*playout); !opened) return opened;
  }
  Mouth mouth{std::move(*playout), std::nullopt, is_near};
  if (settings_.mixes) {
    auto partner = Uplink::make(settings_.types, leg.playout.rate_hz);
    if (!partner) return tl::unexpected(partner.error());
    mouth.partner = std::move(*partner);
  }
  mouths_.push_back(std::move(mouth));
  return {};
}

Result<void> VoiceDialogue::open_echo(Playout& playout) {
  if (settings_.echo_tail == std::chrono::milliseconds::zero()) return {};
  auto echo = EchoFilter::make(playout.rate_hz(), rate_of(settings_.up), settings_.echo_tail);
  if (!echo) return tl::unexpected(echo.error());
  echo_ = std::make_unique<EchoFilter>(std::move(*echo));
  playout.on_sent([echo = echo_.get()](Instant at, std::span<const int16_t> samples) {
    echo->said(at, samples);
  });
  return {};
}

Instant VoiceDialogue::run(Instant now, VoiceUpstream& upstream) {
  listen();
  send_frames(now, upstream);
  speak(now, upstream);
  Instant next = std::min(near_->next_due(), now + kPumpInterval);
  if (settings_.mixes && !mouths_.empty()) next = std::min(next, next_mixed_);
  return next;
}

void VoiceDialogue::listen() {
  HeardPacket packet;
  while (settings_.near.path->heard.pop(packet)) hear(packet, true, true);
  if (settings_.far.path == nullptr) return;
  while (settings_.far.path->heard.pop(packet)) hear(packet, false, false);
}

void VoiceDialogue::hear(const HeardPacket& packet, bool from_near, bool tells_keys) {
  static const OnKeyPress kNobody = [](const KeyPress&) {};
  std::optional<Uplink>& own = from_near ? near_ : far_;
  if (own) own->push(packet, tells_keys ? on_key_press_ : kNobody);
  for (Mouth& mouth : mouths_) {
    if (mouth.partner && mouth.is_near != from_near) mouth.partner->push(packet, kNobody);
  }
}

void VoiceDialogue::send_frames(Instant now, VoiceUpstream& upstream) {
  const auto on_key = [&](const KeyPress& press) { on_key_press_(press); };
  if (echo_) {
    for (Mouth& mouth : mouths_) mouth.playout.look_at_sent();
  }
  while (near_->next(now, near_frame_, on_key)) {
    if (echo_) echo_->cancel(now, near_frame_);
    if (activity_.on_frame(near_frame_)) last_voiced_ = now;
    watch_for_barge_in(upstream);
    send_frame(now, upstream);
    if (const auto arrival = near_->frame_arrival()) measures_.up.add(steady_now() - *arrival);
  }
}

void VoiceDialogue::send_frame(Instant now, VoiceUpstream& upstream) {
  Samples samples = near_frame_;
  if (far_) {
    far_->pull(now, far_frame_);
    for (size_t i = 0; i < near_frame_.size(); ++i) {
      stereo_frame_[2 * i] = near_frame_[i];
      stereo_frame_[2 * i + 1] = far_frame_[i];
    }
    samples = stereo_frame_;
  }
  if (settings_.up.encoding == AudioFormat::Encoding::s16) return upstream.frame(samples);
  const bool is_mu = settings_.up.encoding == AudioFormat::Encoding::pcmu;
  std::transform(samples.begin(), samples.end(), octets_.begin(), [&](int16_t sample) {
    return is_mu ? g711::linear_to_mu(sample) : g711::linear_to_a(sample);
  });
  upstream.frame_g711(octets_);
}

// Once for each time the caller begins to speak.
void VoiceDialogue::watch_for_barge_in(VoiceUpstream& upstream) {
  const Duration speaking = activity_.speaking_for();
  if (speaking == Duration{} && std::exchange(barged_in_, false)) upstream.barge_in_over();
  const Duration after = settings_.barge_in_after;
  if (after == Duration{} || barged_in_ || speaking < after || queued() == Duration{}) return;
  barged_in_ = true;
  upstream.barge_in();
}

void VoiceDialogue::speak(Instant now, VoiceUpstream& upstream) {
  const auto on_mark = [&](MarkId id, MarkFate fate) { upstream.mark_done(id, fate); };
  const auto nobody = [](MarkId, MarkFate) {};
  const bool mixes_now = settings_.mixes && now >= next_mixed_;
  if (mixes_now) next_mixed_ = std::max(next_mixed_ + kVoiceFrame, now - kVoiceFrame);
  for (Mouth& mouth : mouths_) {
    const Playout::OnMark tell = mouth.is_near ? Playout::OnMark(on_mark) : Playout::OnMark(nobody);
    if (!mouth.partner) {
      mouth.playout.pump(now, tell);
      continue;
    }
    if (!mixes_now) continue;
    std::vector<int16_t> partner(mouth.playout.frame_samples());
    mouth.partner->pull(now, partner);
    const auto mix = [&](std::span<int16_t> frame, bool endpoint_speaks) {
      const int divisor = endpoint_speaks ? kDuckDivisor : 1;
      for (size_t i = 0; i < frame.size(); ++i) {
        frame[i] = saturated(frame[i] + partner[i] / divisor);
      }
    };
    mouth.playout.pump_mixed(now, mix, tell);
  }
  for (; !unheard_marks_.empty(); unheard_marks_.pop_front()) {
    upstream.mark_done(unheard_marks_.front(), MarkFate::played);
  }
  measure_speech();
}

void VoiceDialogue::measure_speech() {
  const VoicePath& path = *settings_.near.path;
  const uint64_t spoken = path.frames_spoken.get();
  if (spoken == frames_spoken_) return;
  const auto later = static_cast<int64_t>(spoken - frames_spoken_ - 1);
  frames_spoken_ = spoken;
  if (!given_while_idle_) return;
  const Instant newest = from_ns(path.last_spoken_ns.load(std::memory_order_relaxed));
  const Instant first = newest - later * kVoiceFrame;
  measures_.down.add(first - *given_while_idle_);
  if (last_voiced_) measures_.turn.add(first - *last_voiced_);
  last_voiced_.reset();
  given_while_idle_.reset();
}

void VoiceDialogue::note_given() {
  if (given_while_idle_ || queued() > Duration{}) return;
  given_while_idle_ = steady_now();
  frames_spoken_ = settings_.near.path->frames_spoken.get();
}

void VoiceDialogue::play_samples(Samples samples, int rate_hz) {
  note_given();
  for (Mouth& mouth : mouths_) mouth.playout.play_samples(samples, rate_hz);
}

void VoiceDialogue::play_g711(AudioFormat::Encoding encoding, Octets octets) {
  note_given();
  for (Mouth& mouth : mouths_) mouth.playout.play_g711(encoding, octets);
}

void VoiceDialogue::end_of_reply() {
  for (Mouth& mouth : mouths_) mouth.playout.end_of_reply();
}

// Told of by the mouth that is near; where the endpoint is not heard, on the next turn.
void VoiceDialogue::mark(MarkId id) {
  if (mouths_.empty()) unheard_marks_.push_back(id);
  for (Mouth& mouth : mouths_) mouth.playout.mark(id);
}

Duration VoiceDialogue::clear() {
  Duration unheard{};
  for (Mouth& mouth : mouths_) unheard = std::max(unheard, mouth.playout.clear());
  given_while_idle_.reset();
  return unheard;
}

uint64_t VoiceDialogue::dropped_frames() const {
  if (mouths_.empty()) return 0;
  const Playout& playout = mouths_.front().playout;
  return playout.counters().dropped_samples / playout.frame_samples();
}

UplinkCounters VoiceDialogue::heard() const {
  return far_ ? near_->counters() + far_->counters() : near_->counters();
}

Duration VoiceDialogue::queued() const {
  Duration longest{};
  for (const Mouth& mouth : mouths_) longest = std::max(longest, mouth.playout.queued());
  return longest;
}

}  // namespace relay
