#include "relay/voice/reply_watch.h"

#include <algorithm>

namespace relay {

void ReplyWatch::turn_ended(Instant now) {
  late_at_.reset();
  if (late_after_ > Duration::zero()) late_at_ = now + late_after_;
}

void ReplyWatch::reply_began(Instant now) {
  if (stalled_after_ == Duration::zero()) return;
  state_ = State::replying;
  heard_until_ = std::max(heard_until_, now);
}

void ReplyWatch::interrupted() {
  state_ = State::idle;
  given_ = {};
  heard_until_ = {};
}

ReplyWatch::Finding ReplyWatch::look(Instant now) {
  if (given_ > Duration::zero()) {
    heard_until_ = std::max(heard_until_, now) + given_;
    given_ = {};
    late_at_.reset();
    if (state_ == State::stalled) state_ = State::replying;
  }
  if (late_at_ && now >= *late_at_) {
    late_at_.reset();
    return Finding::late;
  }
  if (state_ != State::replying || now < heard_until_ + stalled_after_) return Finding::none;
  state_ = State::stalled;
  return Finding::stalled;
}

}  // namespace relay
