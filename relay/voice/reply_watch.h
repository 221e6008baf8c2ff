// Whether an endpoint that owes audio gives it: the first of a reply in time, and no silence in the
// middle of one. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "relay/base/clock.h"

namespace relay {

class ReplyWatch {
 public:
  // Zero: not watched.
  ReplyWatch(Duration late_after, Duration stalled_after)
      : late_after_(late_after), stalled_after_(stalled_after) {}

  // The caller has finished: a reply is owed.
  void turn_ended(Instant now);
  // It is not owed any more: there is audio, or the caller goes on.
  void turn_settled() { late_at_.reset(); }
  // The endpoint says that audio follows, until reply_ended().
  void reply_began(Instant now);
  void reply_ended() { state_ = State::idle; }
  // Audio of that length has come; endpoints send it faster than it is heard.
  void audio(Duration length) { given_ += length; }
  // What was given will not be heard.
  void interrupted();

  enum class Finding : uint8_t { none, late, stalled };
  // From time to time; each finding is told once.
  Finding look(Instant now);

 private:
  enum class State : uint8_t { idle, replying, stalled };

  const Duration late_after_, stalled_after_;
  State state_ = State::idle;
  std::optional<Instant> late_at_;
  Duration given_{};  // since the last look
  Instant heard_until_{};
};

}  // namespace relay
