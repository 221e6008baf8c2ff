#include "relay/voice/driver_base.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "relay/base/assert.h"
#include "relay/base/log.h"
#include "relay/voice/variables.h"

namespace relay {
namespace {

// An endpoint that marks every piece of a long answer has hundreds pending.
constexpr size_t kMarksMax = 4096;
constexpr Duration kLeaveLimit = std::chrono::seconds(3);
constexpr size_t kEventTextBytesMax = 16 * 1024;
// Longer than speech synthesised piece by piece halts between sentences, shorter than a caller's
// turn with the answer's delay.
constexpr Duration kReplyPause = std::chrono::seconds(1);

// Whether the protocol says when the caller has finished, and when a reply begins and ends.
bool knows_turns(const VoiceProfile& profile) {
  return profile.driver == VoiceDriverKind::doubao || profile.driver == VoiceDriverKind::openai;
}

Duration length_of(size_t samples, int rate_hz) {
  return Duration(static_cast<int64_t>(samples) * 1'000'000'000 / rate_hz);
}

}  // namespace

DialTarget target_of(const VoiceProfile& profile, const VoiceCall& call) {
  DialTarget target;
  target.url = call.url.empty() ? substitute_in_url(profile.url, call) : call.url;
  target.subprotocol = profile.subprotocol;
  for (const HttpHeader& header : profile.headers) {
    target.headers.push_back({header.name, substitute_in_header(header.value, call)});
  }
  return target;
}

DriverBase::DriverBase(const VoiceProfile& profile, const VoiceCall& call, VoiceSink& sink,
                       VoiceCounters& counters)
    : profile_(profile),
      call_(call),
      sink_(sink),
      counters_(counters),
      tells_replies_(knows_turns(profile)),
      watch_(tells_replies_ ? profile.reply_late : Duration{},
             tells_replies_ ? profile.reply_stall : Duration{}) {}

void DriverBase::closed(const Closure& closure, Instant) {
  RELAY_ASSERT(!ended_);
  const bool is_wanted = closing_ || leaving_ || (started_ && is_orderly(closure));
  if (!failed_ && (closure.error || !is_wanted) && !leaving_) {
    failed_ = true;
    sink_.clear();
    const std::string text =
        fmt::format("closed by the endpoint: {} {}", closure.code, quoted(closure.reason));
    complain(closure.error.value_or(VoiceError::connection_lost),
             closure.error ? closure.reason : text);
  }
  ended_ = true;
  VoiceEvent ended;
  ended.kind = VoiceEventKind::ended;
  ended.outcome = failed_ ? VoiceOutcome::failed : outcome_;
  sink_.event(ended);
}

void DriverBase::frame(Samples samples, Instant now) {
  const AudioFormat format = up_format();
  RELAY_ASSERT(format.encoding == AudioFormat::Encoding::s16 &&
               samples.size() == format.frame_samples());
  now_ = now;
  if (is_over() || leaving_) return;
  if (!started_) {
    early_frame(Octets(reinterpret_cast<const uint8_t*>(samples.data()), samples.size_bytes()));
    return;
  }
  send_frame(samples, now);
}

void DriverBase::frame_g711(Octets octets, Instant now) {
  const AudioFormat format = up_format();
  RELAY_ASSERT(format.encoding != AudioFormat::Encoding::s16 &&
               octets.size() == format.frame_samples());
  now_ = now;
  if (is_over() || leaving_) return;
  if (!started_) {
    early_frame(octets);
    return;
  }
  send_frame_g711(octets, now);
}

void DriverBase::stop(Instant now) {
  leave(VoiceOutcome::stopped, now);
}

// An endpoint that tells its replies is fenced by them. Any other goes on until it hears the caller
// itself, or a server that paces itself would be interrupted for the length of the prebuffer.
void DriverBase::barge_in(Instant now) {
  if (!started_ || leaving_ || is_over()) return;
  on_barge_in(now);
  hushed_ = !tells_replies_;
}

void DriverBase::leave(VoiceOutcome outcome, Instant now) {
  if (leaving_ || is_over()) return;
  leaving_ = true;
  outcome_ = outcome;
  leave_until_ = now + kLeaveLimit;
  settle();
  take_leave(now);
}

void DriverBase::tick(Instant now) {
  now_ = now;
  if (is_over()) return;
  if (leave_until_ && now >= *leave_until_) {
    finish(1000, "");
  } else if (expected_ && now >= expected_->until) {
    fail(VoiceError::reply_timeout, fmt::format("no {} in time", expected_->what));
  } else if (!leaving_) {
    watch_reply(now);
  }
}

void DriverBase::watch_reply(Instant now) {
  switch (watch_.look(now)) {
    case ReplyWatch::Finding::none:
      return;
    case ReplyWatch::Finding::late:
      counters_.replies_late.add();
      return tell(VoiceEventKind::reply_late,
                  fmt::format("no audio for {} ms", profile_.reply_late.count()));
    case ReplyWatch::Finding::stalled:
      counters_.replies_stalled.add();
      // What has come is heard to its end; more of it would be a talk spurt of its own.
      sink_.end_of_reply();
      return tell(VoiceEventKind::reply_stalled,
                  fmt::format("no more audio for {} ms", profile_.reply_stall.count()));
  }
}

void DriverBase::set_started() {
  if (started_) return;
  started_ = true;
  settle();
  counters_.sessions_started.add();
  VoiceEvent event;
  event.kind = VoiceEventKind::started;
  sink_.event(event);
}

void DriverBase::say(VoiceEventKind kind, std::string_view text) {
  if (!text.empty()) tell(kind, text);
}

void DriverBase::tell(VoiceEventKind kind, std::string_view text) {
  VoiceEvent event;
  event.kind = kind;
  event.text = text.substr(0, kEventTextBytesMax);
  sink_.event(event);
}

void DriverBase::complain(VoiceError error, std::string_view text) {
  VoiceEvent event;
  event.kind = VoiceEventKind::call_error;
  event.error = error;
  event.fatal = failed_;
  event.text = text.substr(0, kEventTextBytesMax);
  sink_.event(event);
}

void DriverBase::fail(VoiceError error, std::string_view text) {
  if (is_over()) return;
  failed_ = true;
  settle();
  sink_.clear();
  complain(error, text);
  sink_.close(error == VoiceError::protocol ? 1002 : 1000, "");
}

void DriverBase::finish(uint16_t code, std::string_view reason) {
  if (is_over()) return;
  closing_ = true;
  settle();
  sink_.close(code, reason);
}

bool DriverBase::takes_audio(Duration length) {
  if (call_.listen_only || leaving_) return false;
  settle();
  if (hushed_) {
    counters_.audio_fenced.add();
    return false;
  }
  if (!tells_replies_) {
    if (now_ - heard_until_ >= kReplyPause) begin_reply();
    heard_until_ = std::max(heard_until_, now_) + length;
  }
  reply_length_ += length;
  watch_.audio(length);
  return true;
}

void DriverBase::play(Samples samples, int rate_hz) {
  if (samples.empty() || !takes_audio(length_of(samples.size(), rate_hz))) return;
  sink_.play_samples(samples, rate_hz);
}

void DriverBase::play_g711(AudioFormat::Encoding encoding, Octets octets) {
  if (octets.empty() || !takes_audio(length_of(octets.size(), 8000))) return;
  sink_.play_g711(encoding, octets);
}

void DriverBase::end_of_reply() {
  watch_.reply_ended();
  if (!call_.listen_only) sink_.end_of_reply();
}

DriverBase::Interruption DriverBase::interrupt() {
  if (call_.listen_only) return {};
  watch_.interrupted();
  hushed_ = false;
  heard_until_ = now_;
  Interruption interruption;
  interruption.cut = sink_.clear();
  const Duration length = std::exchange(reply_length_, Duration{});
  if (interruption.cut <= Duration::zero()) return {};
  interruption.played = std::max(length - interruption.cut, Duration::zero());
  VoiceEvent event;
  event.kind = VoiceEventKind::user_interrupted;
  event.played = std::chrono::duration_cast<std::chrono::milliseconds>(interruption.played);
  sink_.event(event);
  return interruption;
}

void DriverBase::add_mark(std::string name) {
  const bool refused = marks_.size() >= kMarksMax;
  if (refused) counters_.marks_refused.add();
  if (refused || call_.listen_only) {
    send_mark(name, MarkFate::cleared);
    return;
  }
  marks_.push_back({++last_mark_, std::move(name)});
  sink_.mark(last_mark_);
  if (hushed_) sink_.clear();  // it goes with the audio before it
}

// The endpoint needs its marks back in order; one that was passed over cannot have been heard.
void DriverBase::mark_done(MarkId id, MarkFate fate) {
  while (!marks_.empty() && marks_.front().id <= id) {
    const PendingMark mark = std::move(marks_.front());
    marks_.pop_front();
    if (is_over() || leaving_) continue;
    send_mark(mark.name, mark.id == id ? fate : MarkFate::cleared);
  }
}

void DriverBase::give_up_marks(const std::function<bool(std::string_view)>& chosen) {
  std::deque<PendingMark> kept;
  for (PendingMark& mark : marks_) {
    if (chosen(mark.name)) {
      send_mark(mark.name, MarkFate::cleared);
    } else {
      kept.push_back(std::move(mark));
    }
  }
  marks_ = std::move(kept);
}

void DriverBase::expect(std::string what, Duration limit, Instant now) {
  settle();
  if (limit > Duration::zero()) expected_ = {std::move(what), now + limit};
}

void DriverBase::expect_reply(Instant now) {
  if (call_.listen_only) return;
  expect("reply", profile_.reply_timeout, now);
  watch_.turn_ended(now);
}

}  // namespace relay
