// One voice session's dialogue: its driver, its connection, its attempts. Voice thread only.
#pragma once

#include <memory>
#include <optional>

#include "relay/voice/connection.h"
#include "relay/voice/driver.h"
#include "relay/voice/profile.h"
#include "relay/voice/voice_loop.h"

namespace relay {

class VoiceLink final : private VoiceSink, private ConnectionObserver {
 public:
  // Connects at once; everything else is told to `listener`, from the loop: `started`, audio …,
  // and `ended` exactly once and last. Until `started` the endpoint may be tried up to
  // `profile->retries` further times. Keeps `slot` as long as it lives.
  VoiceLink(VoiceLoop& loop, std::shared_ptr<const VoiceProfile> profile, const VoiceCall& call,
            VoiceCounters& counters, VoiceListener& listener, std::shared_ptr<void> slot);
  // A link that is not begun: it ends with that error on the loop's next turn.
  VoiceLink(VoiceLoop& loop, std::shared_ptr<const VoiceProfile> profile, const VoiceCall& call,
            VoiceCounters& counters, VoiceListener& listener, VoiceError refused);
  // At once, without leave. Not from inside a call of the listener's: VoiceThread::release().
  ~VoiceLink() override;

  // As the driver's (driver.h); the same for all attempts.
  AudioFormat up_format() const { return up_format_; }
  AudioFormat down_format() const { return down_format_; }
  // As the driver's, at any time: what comes before the connection stands is counted as unsent, and
  // after `ended` nothing happens.
  void frame(Samples samples);
  void frame_g711(Octets octets);
  void dtmf(char digit, std::chrono::milliseconds duration);
  void mark_done(MarkId id, MarkFate fate);
  void barge_in();
  void barge_in_over();
  // `ended` follows within four seconds; before the dialogue has started, on the next turn.
  void stop();

  bool is_over() const { return over_; }
  const VoiceProfile& profile() const { return *profile_; }

 private:
  void attempt();
  bool may_retry(VoiceError error) const;

  // What the driver says.
  void play_samples(Samples samples, int rate_hz) override;
  void play_g711(AudioFormat::Encoding encoding, Octets octets) override;
  void end_of_reply() override;
  void mark(MarkId id) override;
  Duration clear() override;
  void event(const VoiceEvent& event) override;
  void send_text(std::string_view message, Send kind) override;
  void send_binary(Octets message, Send kind) override;
  void close(uint16_t code, std::string_view reason) override;

  // What the connection says.
  void connection_open() override;
  void connection_text(std::string_view message) override;
  void connection_binary(Octets message) override;
  void connection_closed(const Closure& closure) override;

  VoiceLoop& loop_;
  const std::shared_ptr<const VoiceProfile> profile_;
  const VoiceCall call_;
  VoiceCounters& counters_;
  VoiceListener& listener_;
  const std::shared_ptr<void> slot_;
  AudioFormat up_format_, down_format_;
  std::optional<VoiceError> refused_;
  std::unique_ptr<VoiceDriver> driver_;
  std::unique_ptr<Connection> connection_;
  int attempts_ = 0;
  bool attached_ = false;  // the connection lives, so its end will be told
  bool connected_ = false, started_ = false, stopping_ = false, over_ = false;
  bool retrying_ = false;  // this attempt's failure is not told
  VoiceTimer next_, tick_;
};

}  // namespace relay
