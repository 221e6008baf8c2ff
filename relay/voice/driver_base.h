// What all drivers have in common: events in order, what of a reply was heard, marks, time limits.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "relay/voice/driver.h"
#include "relay/voice/profile.h"
#include "relay/voice/reply_watch.h"

namespace relay {

// The profile's or the call's URL, the profile's subprotocol and headers, for this call.
DialTarget target_of(const VoiceProfile& profile, const VoiceCall& call);

// The endpoint closed in order. 1005: a close frame without a code (RFC 6455 §7.4.1).
inline bool is_normal(const Closure& closure) {
  return closure.code == 1000 || closure.code == 1005;
}

class DriverBase : public VoiceDriver {
 public:
  DriverBase(const VoiceProfile& profile, const VoiceCall& call, VoiceSink& sink,
             VoiceCounters& counters);

  void closed(const Closure& closure, Instant now) final;
  void frame(Samples samples, Instant now) final;
  void frame_g711(Octets octets, Instant now) final;
  void mark_done(MarkId id, MarkFate fate) final;
  void barge_in(Instant now) final;
  void barge_in_over() final { hushed_ = false; }
  void stop(Instant now) final;
  void tick(Instant now) final;

 protected:
  // --- what a driver adds ---
  // A frame of up_format() of a dialogue that is ready. One of the two, by up_format().
  virtual void send_frame(Samples, Instant) {}
  virtual void send_frame_g711(Octets, Instant) {}
  // A frame of before that.
  virtual void early_frame(Octets) { counters().frames_up_unsent.add(); }
  virtual void send_mark(std::string_view, MarkFate) {}
  virtual void on_barge_in(Instant) { interrupt(); }
  // Takes leave; finish() is called now or when the endpoint has answered.
  virtual void take_leave(Instant now) = 0;
  // Whether the endpoint closing like this is the end and no failure.
  virtual bool is_orderly(const Closure& closure) const = 0;

  // --- what a driver uses ---
  const VoiceProfile& profile() const { return profile_; }
  const VoiceCall& call() const { return call_; }
  VoiceSink& sink() { return sink_; }
  VoiceCounters& counters() { return counters_; }
  bool is_started() const { return started_; }
  bool is_leaving() const { return leaving_; }
  // Nothing but closed() matters any more.
  bool is_over() const { return failed_ || closing_; }

  void set_started();
  void ignore_message() { counters_.messages_ignored.add(); }
  void say(VoiceEventKind kind, std::string_view text);
  // Ends the dialogue.
  void fail(VoiceError error, std::string_view text);
  // Takes leave because the endpoint is done.
  void wind_up(Instant now) { leave(VoiceOutcome::finished, now); }
  // While leaving: the endpoint's next answer may take so long.
  void await_farewell(Duration limit, Instant now) { leave_until_ = now + limit; }
  // Tells of an error that the dialogue survives.
  void complain(VoiceError error, std::string_view text);
  void finish(uint16_t code, std::string_view reason);

  // The next audio is another reply. Where the protocol does not say so, what comes behind a pause
  // is.
  void begin_reply() { reply_length_ = {}; }
  // The endpoint says that audio follows: until end_of_reply() or no_more_audio(), silence is a
  // stall.
  void expect_audio(Instant now) { watch_.reply_began(now); }
  void no_more_audio() { watch_.reply_ended(); }
  void play(Samples samples, int rate_hz);
  void play_g711(AudioFormat::Encoding encoding, Octets octets);
  void end_of_reply();
  Duration reply_length() const { return reply_length_; }
  struct Interruption {
    Duration cut{};     // zero: nothing was queued or playing
    Duration played{};  // of the reply that was cut
  };
  // Discards what is queued and says so if that was something.
  Interruption interrupt();

  void add_mark(std::string name);
  // Answers all pending marks that `chosen` picks as cleared, though their audio plays on.
  void give_up_marks(const std::function<bool(std::string_view)>& chosen);

  // From now on the endpoint owes an answer, of the handshake or of a turn. A limit of zero is
  // none.
  void expect(std::string what, Duration limit, Instant now);
  void expect_reply(Instant now);
  void settle() {
    expected_.reset();
    watch_.turn_settled();
  }

 private:
  struct PendingMark {
    MarkId id;
    std::string name;
  };
  struct Expectation {
    std::string what;
    Instant until;
  };

  const VoiceProfile profile_;
  const VoiceCall call_;
  VoiceSink& sink_;
  VoiceCounters& counters_;
  void leave(VoiceOutcome outcome, Instant now);
  void tell(VoiceEventKind kind, std::string_view text);
  bool takes_audio(Duration length);
  void watch_reply(Instant now);

  bool started_ = false, leaving_ = false, closing_ = false, failed_ = false, ended_ = false;
  VoiceOutcome outcome_ = VoiceOutcome::finished;  // unless failed_
  const bool tells_replies_;
  Duration reply_length_{};
  // Where the endpoint does not tell its replies: when what it has said so far has been heard, and
  // whether the caller speaks over it.
  Instant heard_until_{}, now_{};
  bool hushed_ = false;
  MarkId last_mark_ = 0;
  std::deque<PendingMark> marks_;
  std::optional<Expectation> expected_;
  ReplyWatch watch_;
  std::optional<Instant> leave_until_;
};

}  // namespace relay
