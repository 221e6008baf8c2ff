#include "relay/voice/voice_session.h"

#include <utility>

#include "relay/base/log.h"

namespace relay {
namespace {

// A worker that takes no frames, because the call has ended or is held up, is waited for no longer.
constexpr Duration kFarewellSlack = std::chrono::seconds(1);

}  // namespace

VoiceSession::VoiceSession(VoiceThread& thread, VoiceStart start, VoiceMeasures& measures,
                           OnReport on_report)
    : id_(start.id),
      on_report_(std::move(on_report)),
      near_(start.media.near.path),
      far_(start.media.far.path),
      counters_(thread.counters_of(start.profile->name)),
      link_(thread.open(start.profile, start.call, *this)),
      timer_(thread.loop(), [this] { run(); }) {
  start.media.up = link_->up_format();
  if (start.profile->echo_cancellation) start.media.echo_tail = start.profile->echo_tail;
  auto dialogue = VoiceDialogue::make(
      start.media, measures, [this](const VoiceEvent& event) { report(event); },
      [this](const KeyPress& press) {
        link_->dtmf(press.digit, press.duration);
        on_report_({id_, steady_now(), std::nullopt, press});
      });
  if (!dialogue) {
    log_error("voice session without audio id={} reason={}", id_, quoted(dialogue.error().message));
    link_->stop();
    return;
  }
  dialogue_ = std::move(*dialogue);
  run_soon();
}

void VoiceSession::look() {
  if (!near_->heard.empty() || (far_ != nullptr && !far_->heard.empty())) run();
}

void VoiceSession::run() {
  if (over_ || dialogue_ == nullptr) return;
  const Instant now = steady_now();
  const Instant next = dialogue_->run(now, *this);
  const uint64_t dropped = dialogue_->dropped_frames();
  counters_.frames_down_dropped.add(dropped - std::exchange(dropped_, dropped));
  count_heard();
  if (farewell_ && (dialogue_->queued() == Duration{} || now >= farewell_->until)) {
    end(farewell_->ended);
  }
  if (!over_) timer_.start(std::max(next - now, Duration::zero()));
}

void VoiceSession::count_heard() {
  const UplinkCounters now = dialogue_->heard();
  const UplinkCounters before = std::exchange(heard_, now);
  counters_.heard_late.add(now.late - before.late);
  counters_.heard_unreadable.add(now.unreadable - before.unreadable);
  counters_.frames_up_concealed.add(now.concealed_frames - before.concealed_frames);
  counters_.frames_up_noise.add(now.noise_frames - before.noise_frames);
  counters_.frames_up_skipped.add(now.skipped_frames - before.skipped_frames);
}

void VoiceSession::stop() {
  if (farewell_ && !over_) return end(farewell_->ended);
  link_->stop();
}

void VoiceSession::report(const VoiceEvent& event) {
  on_report_({id_, steady_now(), event, std::nullopt});
}

void VoiceSession::play_samples(Samples samples, int rate_hz) {
  if (dialogue_) dialogue_->play_samples(samples, rate_hz);
  run_soon();
}

void VoiceSession::play_g711(AudioFormat::Encoding encoding, Octets octets) {
  if (dialogue_) dialogue_->play_g711(encoding, octets);
  run_soon();
}

void VoiceSession::end_of_reply() {
  if (dialogue_) dialogue_->end_of_reply();
  run_soon();
}

void VoiceSession::mark(MarkId id) {
  if (dialogue_) dialogue_->mark(id);
  run_soon();
}

Duration VoiceSession::clear() {
  run_soon();
  return dialogue_ ? dialogue_->clear() : Duration::zero();
}

void VoiceSession::event(const VoiceEvent& event) {
  if (event.kind != VoiceEventKind::ended) return report(event);
  const Duration queued = dialogue_ ? dialogue_->queued() : Duration{};
  if (event.outcome != VoiceOutcome::finished || queued == Duration{}) return end(event);
  farewell_ = {event, steady_now() + queued + kFarewellSlack};
  dialogue_->end_of_reply();
  run_soon();
}

void VoiceSession::end(const VoiceEvent& ended) {
  over_ = true;
  timer_.stop();
  report(ended);
}

}  // namespace relay
