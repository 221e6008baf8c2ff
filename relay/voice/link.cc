#include "relay/voice/link.h"

#include <openssl/rand.h>

#include "relay/base/assert.h"
#include "relay/base/log.h"

namespace relay {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(50);
constexpr Duration kFirstRetry = std::chrono::milliseconds(200);

// 0.2, 0.6, 1.8 s …, each up to 30 % shorter or longer, so that many calls do not come at once.
Duration retry_delay(int attempts) {
  uint8_t random = 0;
  RAND_bytes(&random, 1);
  Duration delay = kFirstRetry;
  for (int i = 1; i < attempts; ++i) delay *= 3;
  return delay * (700 + 600 * random / 255) / 1000;
}

ConnectionSettings settings_of(const VoiceProfile& profile) {
  ConnectionSettings settings;
  settings.connect_timeout = profile.connect_timeout;
  settings.ping_interval = profile.ping_interval;
  settings.message_bytes_max = profile.message_bytes_max;
  settings.tls = profile.tls_context;
  settings.tls_name = profile.tls.server_name;
  return settings;
}

}  // namespace

VoiceLink::VoiceLink(VoiceLoop& loop, std::shared_ptr<const VoiceProfile> profile,
                     const VoiceCall& call, VoiceCounters& counters, VoiceListener& listener,
                     std::shared_ptr<void> slot)
    : loop_(loop),
      profile_(std::move(profile)),
      call_(call),
      counters_(counters),
      listener_(listener),
      slot_(std::move(slot)),
      driver_(make_voice_driver(*profile_, call_, *this, counters_)),
      next_(loop, [this] { attempt(); }),
      tick_(loop, [this] {
        if (connected_) driver_->tick(steady_now());
      }) {
  up_format_ = driver_->up_format();
  down_format_ = driver_->down_format();
  next_.start(Duration::zero());
}

VoiceLink::VoiceLink(VoiceLoop& loop, std::shared_ptr<const VoiceProfile> profile,
                     const VoiceCall& call, VoiceCounters& counters, VoiceListener& listener,
                     VoiceError refused)
    : VoiceLink(loop, std::move(profile), call, counters, listener, std::shared_ptr<void>{}) {
  refused_ = refused;
}

VoiceLink::~VoiceLink() = default;

// --- attempts ---

void VoiceLink::attempt() {
  if (over_) return;
  if (attempts_ > 0) driver_ = make_voice_driver(*profile_, call_, *this, counters_);
  connection_.reset();
  retrying_ = false;
  if (stopping_) driver_->stop(steady_now());
  if (stopping_ || refused_) return connection_closed({1006, "", refused_});
  if (attempts_++ > 0) counters_.reconnects.add();
  const DialTarget target = driver_->target();
  const auto url = parse_voice_url(target.url);
  const bool is_tcp = url && url->scheme == VoiceUrl::Scheme::tcp;
  if (!url || is_tcp != (profile_->driver == VoiceDriverKind::audiosocket) ||
      (!call_.url.empty() && !is_allowed_url(call_.url, profile_->allow_urls))) {
    const char* const not_allowed = "not among the profile's allow_urls";
    return connection_closed(
        {1006, url ? not_allowed : url.error().message, VoiceError::refused_url});
  }
  attached_ = true;
  connection_ = std::make_unique<Connection>(loop_, *url, target, settings_of(*profile_), counters_,
                                             static_cast<ConnectionObserver&>(*this));
}

bool VoiceLink::may_retry(VoiceError error) const {
  return !started_ && !stopping_ && is_retryable(error) && attempts_ <= profile_->retries;
}

void VoiceLink::connection_open() {
  connected_ = true;
  tick_.start(kTick, kTick);
  driver_->connected(steady_now());
}

void VoiceLink::connection_closed(const Closure& closure) {
  connected_ = attached_ = false;
  tick_.stop();
  driver_->closed(closure, steady_now());
}

// --- from the call ---

void VoiceLink::frame(Samples samples) {
  if (connected_) return driver_->frame(samples, steady_now());
  if (!over_) counters_.frames_up_unsent.add();
}

void VoiceLink::frame_g711(Octets octets) {
  if (connected_) return driver_->frame_g711(octets, steady_now());
  if (!over_) counters_.frames_up_unsent.add();
}

void VoiceLink::dtmf(char digit, std::chrono::milliseconds duration) {
  if (connected_) driver_->dtmf(digit, duration, steady_now());
}

void VoiceLink::mark_done(MarkId id, MarkFate fate) {
  if (connected_) driver_->mark_done(id, fate);
}

void VoiceLink::barge_in() {
  if (connected_) driver_->barge_in(steady_now());
}

void VoiceLink::barge_in_over() {
  if (connected_) driver_->barge_in_over();
}

void VoiceLink::stop() {
  if (over_ || stopping_) return;
  stopping_ = true;
  if (attached_) return driver_->stop(steady_now());
  next_.start(Duration::zero());
}

// --- from the driver ---

void VoiceLink::event(const VoiceEvent& event) {
  if (over_) return;
  if (event.kind == VoiceEventKind::started) started_ = true;
  if (event.kind == VoiceEventKind::call_error) {
    log_warning("voice profile={} call_id={} error={} attempt={} text={}", quoted(profile_->name),
                quoted(call_.call_id), to_string(event.error), attempts_, quoted(event.text));
    retrying_ = event.fatal && may_retry(event.error);
    if (retrying_) return;
    if (event.fatal) (refused_ ? counters_.sessions_refused : counters_.sessions_failed).add();
  }
  if (event.kind == VoiceEventKind::ended) {
    if (retrying_) return next_.start(retry_delay(attempts_));
    over_ = true;
  }
  listener_.event(event);
}

void VoiceLink::play_samples(Samples samples, int rate_hz) {
  listener_.play_samples(samples, rate_hz);
}
void VoiceLink::play_g711(AudioFormat::Encoding encoding, Octets octets) {
  listener_.play_g711(encoding, octets);
}
void VoiceLink::end_of_reply() {
  listener_.end_of_reply();
}
void VoiceLink::mark(MarkId id) {
  listener_.mark(id);
}
Duration VoiceLink::clear() {
  return listener_.clear();
}

void VoiceLink::send_text(std::string_view message, Send kind) {
  if (connection_ == nullptr) return;
  connection_->send(Connection::Kind::text,
                    {reinterpret_cast<const uint8_t*>(message.data()), message.size()}, kind);
}

void VoiceLink::send_binary(Octets message, Send kind) {
  if (connection_ != nullptr) connection_->send(Connection::Kind::binary, message, kind);
}

void VoiceLink::close(uint16_t code, std::string_view reason) {
  if (connection_ != nullptr) connection_->close(code, reason);
}

// --- from the connection ---

void VoiceLink::connection_text(std::string_view message) {
  driver_->text(message, steady_now());
}

void VoiceLink::connection_binary(Octets message) {
  driver_->binary(message, steady_now());
}

}  // namespace relay
