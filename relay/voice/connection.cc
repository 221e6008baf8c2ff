#include "relay/voice/connection.h"

#include <fmt/core.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>

#include "relay/base/log.h"
#include "relay/voice/base64.h"
#include "relay/voice/upgrade.h"

namespace relay {
namespace {

constexpr Duration kWatchInterval = std::chrono::milliseconds(100);
constexpr int kPingsUnansweredMax = 2;
// What one write hands to the kernel at most, but for a single longer message.
constexpr size_t kBatchBytes = 16 * 1024;
// A peer that pings and does not read.
constexpr size_t kPongsQueuedMax = 256;

Octets octets_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string random_key() {
  std::array<uint8_t, 16> bytes{};
  RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
  std::string key;
  append_base64(key, bytes);
  return key;
}

}  // namespace

Connection::Connection(VoiceLoop& loop, const VoiceUrl& url, const DialTarget& target,
                       const ConnectionSettings& settings, VoiceCounters& counters,
                       ConnectionObserver& observer)
    : url_(url),
      target_(target),
      settings_(settings),
      counters_(counters),
      observer_(observer),
      key_(random_key()),
      limit_(loop,
             [this] {
               if (state_ == State::closing) return end(farewell_);
               fail(
                   VoiceError::connect_timeout,
                   fmt::format("{}: no {} in time", url_.authority(),
                               state_ == State::upgrading ? "reply to the upgrade" : "connection"));
             }),
      watch_(loop, [this] { watch(); }),
      stream_(std::make_unique<Stream>(loop, url.host, url.port,
                                       url.scheme == VoiceUrl::Scheme::wss ? settings.tls : nullptr,
                                       settings.tls_name, static_cast<StreamObserver&>(*this))) {
  limit_.start(settings.connect_timeout);
}

// --- the way in ---

void Connection::stream_open() {
  if (state_ == State::closing) return;
  if (url_.scheme == VoiceUrl::Scheme::tcp) return become_open();
  state_ = State::upgrading;
  stream_->write(octets_of(upgrade_request(url_, target_.headers, target_.subprotocol, key_)));
}

void Connection::read_upgrade(Octets data) {
  head_.append(reinterpret_cast<const char*>(data.data()), data.size());
  const auto reply = parse_upgrade_reply(head_, key_, target_.subprotocol);
  if (!reply) return;
  if (!reply->log_id.empty()) {
    log_info("voice endpoint's log id endpoint={} log_id={}", quoted(url_.authority()),
             quoted(reply->log_id));
  }
  if (!reply->accepted) return fail(reply->error, reply->text);
  websocket_ = std::make_unique<Websocket>(settings_.message_bytes_max,
                                           static_cast<WebsocketObserver&>(*this));
  const std::string rest = head_.substr(reply->bytes);
  head_.clear();
  become_open();
  if (!rest.empty() && state_ != State::closed) read_frames(octets_of(rest));
}

void Connection::become_open() {
  state_ = State::open;
  limit_.stop();
  pinged_ = steady_now();
  watch_.start(kWatchInterval, kWatchInterval);
  observer_.connection_open();
}

// --- what comes ---

void Connection::stream_data(Octets data) {
  pings_unanswered_ = 0;
  if (state_ == State::upgrading) return read_upgrade(data);
  if (state_ != State::open && state_ != State::closing) return;
  if (websocket_ != nullptr) return read_frames(data);
  if (state_ == State::open) observer_.connection_binary(data);
}

void Connection::read_frames(Octets data) {
  const bool good = websocket_->receive(data);
  if (websocket_->close_received()) {
    flush();
    return end(state_ == State::closing ? farewell_ : websocket_->close_frame());
  }
  if (!good) {
    flush();
    if (state_ == State::closing) return end(farewell_);
    return fail(websocket_->failure(), websocket_->failure_text());
  }
  if (websocket_->queued() > kPongsQueuedMax) {
    return fail(VoiceError::stalled, "it pings and does not read the answers");
  }
  flush();
}

void Connection::websocket_message(bool is_text, Octets message) {
  if (state_ != State::open) return;
  if (is_text) {
    observer_.connection_text({reinterpret_cast<const char*>(message.data()), message.size()});
  } else {
    observer_.connection_binary(message);
  }
}

// --- what goes ---

void Connection::send(Kind kind, Octets message, VoiceSink::Send priority) {
  if (state_ != State::open) return;
  queued_bytes_ += message.size();
  queue_.push_back({kind, priority, steady_now(), {message.begin(), message.end()}});
  flush();
}

void Connection::stream_writable() {
  writing_ = false;
  flush();
}

void Connection::flush() {
  while (!writing_ && stream_ != nullptr) {
    drop_late_audio();
    std::vector<uint8_t> batch;
    while (!queue_.empty() && batch.size() < kBatchBytes) {
      const Message& message = queue_.front();
      queued_bytes_ -= message.bytes.size();
      if (websocket_ != nullptr) {
        websocket_->queue_message(message.kind == Kind::text, message.bytes);
        websocket_->take_out(batch);
      } else {
        batch.insert(batch.end(), message.bytes.begin(), message.bytes.end());
      }
      queue_.pop_front();
    }
    if (websocket_ != nullptr) {
      if (state_ == State::closing && queue_.empty() && !websocket_->close_sent()) {
        websocket_->queue_close(farewell_.code, farewell_.reason);
      }
      websocket_->take_out(batch);
    }
    if (batch.empty()) return;
    writing_ = !stream_->write(batch);
    writing_since_ = steady_now();
  }
}

// Late audio is worth nothing to whoever listens; what controls the dialogue is.
void Connection::drop_late_audio() {
  const Instant now = steady_now();
  for (auto at = queue_.begin(); at != queue_.end();) {
    const bool is_audio = at->priority == VoiceSink::Send::audio;
    if (is_audio && now - at->queued <= kAudioWaitMax) return;  // later ones are younger
    if (!is_audio) {
      ++at;
      continue;
    }
    queued_bytes_ -= at->bytes.size();
    counters_.frames_up_dropped.add();
    at = queue_.erase(at);
  }
}

// --- the way out ---

void Connection::close(uint16_t code, std::string_view reason) {
  if (state_ == State::closing || state_ == State::closed) return;
  const bool was_open = state_ == State::open;
  state_ = State::closing;
  farewell_.code = code;
  farewell_.reason = reason;
  limit_.start(was_open ? kCloseMax : Duration::zero());
  if (!was_open) return;
  flush();
  if (websocket_ == nullptr && queue_.empty() && !writing_) limit_.start(Duration::zero());
}

void Connection::stream_ended() {
  if (state_ == State::closing) return end(farewell_);
  if (state_ == State::open && websocket_ == nullptr) return end({1000, "", std::nullopt});
  if (state_ == State::open) return end({1006, "no close frame came", std::nullopt});
  fail(VoiceError::unreachable, "closed by the endpoint before it answered the upgrade");
}

void Connection::stream_failed(VoiceError error, const std::string& text) {
  if (state_ == State::closing) return end(farewell_);
  fail(state_ == State::open ? VoiceError::connection_lost : error, text);
}

void Connection::fail(VoiceError error, std::string text) {
  end({1006, std::move(text), error});
}

void Connection::end(const Closure& closure) {
  if (state_ == State::closed) return;
  state_ = State::closed;
  limit_.stop();
  watch_.stop();
  stream_.reset();
  const Closure last = closure;
  observer_.connection_closed(last);
}

// --- time ---

void Connection::watch() {
  drop_late_audio();
  if (queued_bytes_ > kQueuedBytesMax || (writing_ && steady_now() - writing_since_ > kStallMax)) {
    return fail(VoiceError::stalled, "nothing could be written");
  }
  if (websocket_ != nullptr && state_ == State::open) watch_pings();
}

void Connection::watch_pings() {
  const Instant now = steady_now();
  if (settings_.ping_interval == Duration::zero() || now - pinged_ < settings_.ping_interval) {
    return;
  }
  pinged_ = now;
  if (pings_unanswered_ >= kPingsUnansweredMax) {
    return fail(VoiceError::ping_timeout, "two pings stayed unanswered");
  }
  ++pings_unanswered_;
  websocket_->queue_ping();
  flush();
}

}  // namespace relay
