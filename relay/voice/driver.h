// The protocol of one kind of AI endpoint as a pure codec: no socket, no thread, no clock, no
// randomness. It is fed what arrives from either side and says what to do through a VoiceSink.
//
//   phone ── 20 ms frames ──► VoiceDriver ── send_text, send_binary ──► endpoint
//   phone ◄── play, mark ─── VoiceDriver ◄── text, binary ──────────── endpoint
//
// One driver lives for one connection; a further attempt gets a new one. All calls come from one
// thread. Order is the protocol: what the sink is told comes in the order of the messages that
// caused it, so a clear() never overtakes or is overtaken by audio.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "relay/base/clock.h"
#include "relay/voice/counters.h"
#include "relay/voice/voice_event.h"

namespace relay {

struct VoiceProfile;

using Samples = std::span<const int16_t>;  // host byte order; two channels are interleaved
using Octets = std::span<const uint8_t>;

struct AudioFormat {
  enum class Encoding : uint8_t { s16, pcmu, pcma };
  Encoding encoding = Encoding::s16;
  int rate_hz = 8000;
  int channels = 1;

  // Of one 20 ms frame, all channels together; of G.711 also its bytes.
  size_t frame_samples() const { return static_cast<size_t>(rate_hz / 50 * channels); }
  friend bool operator==(const AudioFormat&, const AudioFormat&) = default;
};

// What is known of the call. Any bytes; the drivers see to quoting.
struct VoiceCall {
  std::string call_id;
  std::string caller, callee;  // numbers or URIs as far as known; may be empty
  std::string session_id;      // a UUID in lower case, new for each voice session
  std::vector<std::pair<std::string, std::string>> variables;  // further ${NAME}s
  std::string url;           // empty: the profile's; otherwise checked against its allow_urls
  bool listen_only = false;  // a tee: what the endpoint says is not played, no reply is awaited
  bool stereo = false;       // frames carry the caller left, the callee right; twilio, l16
  // What the leg speaks; G.711 drivers that have the choice take it as it is.
  AudioFormat::Encoding leg_encoding = AudioFormat::Encoding::s16;
};

struct HttpHeader {
  std::string name, value;  // the value may be a secret: never logged
};

// What the connection must be for the driver.
struct DialTarget {
  std::string url;          // ws://, wss:// or tcp://HOST:PORT
  std::string subprotocol;  // empty: none
  std::vector<HttpHeader> headers;
};

using MarkId = uint64_t;
enum class MarkFate : uint8_t { played, cleared };

// The call's side of a dialogue: its play-out queue and its events. Implemented by the media half.
// Called in the voice thread; must not call back into the driver or the link from inside, except
// where it says so.
class VoiceListener {
 public:
  virtual ~VoiceListener() = default;

  // Audio to be played behind what was given before: any length, faster than real time, a whole
  // answer at once if the endpoint likes. Samples are of one channel. What exceeds the queue's cap
  // is dropped there and counted.
  virtual void play_samples(Samples samples, int rate_hz) = 0;
  virtual void play_g711(AudioFormat::Encoding encoding, Octets octets) = 0;
  // The reply is complete: a last partial frame may be filled up and sent.
  virtual void end_of_reply() = 0;
  // To be answered by exactly one mark_done(id, …): `played` when the last audio before it was sent
  // (at once, on the next turn, if none is queued), `cleared` when a clear() discarded it. In the
  // order given. Ids rise.
  virtual void mark(MarkId id) = 0;
  // Discards all audio and marks queued. Returns how much audio will now not be heard; zero if
  // nothing was queued or playing.
  virtual Duration clear() = 0;
  virtual void event(const VoiceEvent& event) = 0;
};

// What a driver sees: the call's side and the wire.
class VoiceSink : public VoiceListener {
 public:
  // `audio` may be dropped at a slow connection, oldest first; `control` never.
  enum class Send : uint8_t { audio, control };
  virtual void send_text(std::string_view message, Send kind) = 0;
  virtual void send_binary(Octets message, Send kind) = 0;
  // Sends what is queued, then closes. Of the driver, only closed() is called after this.
  virtual void close(uint16_t code, std::string_view reason) = 0;
};

// How a connection ended: a close code of RFC 6455 §7.4 (1006: none came, the connection broke).
struct Closure {
  uint16_t code = 1006;
  std::string reason;
  std::optional<VoiceError> error{};  // what went wrong, if our side knows; then `reason` says how
};

class VoiceDriver {
 public:
  virtual ~VoiceDriver() = default;

  // --- fixed from construction on ---
  virtual DialTarget target() const = 0;
  // What frame() or frame_g711() must be given: s16 means frame().
  virtual AudioFormat up_format() const = 0;
  // What the sink's play calls will mostly bring, for setting up a resampler early; an endpoint may
  // send another rate (l16's playAudio).
  virtual AudioFormat down_format() const = 0;

  // --- from the connection ---
  // The upgrade is done (tcp: the connection stands).
  virtual void connected(Instant now) = 0;
  // Whole messages. Over tcp: binary() gets pieces of the byte stream, however cut.
  virtual void text(std::string_view message, Instant now) = 0;
  virtual void binary(Octets message, Instant now) = 0;
  // The connection is gone, whoever ended it. The driver emits `call_error` if that is one, then
  // `ended`; nothing is called after this.
  virtual void closed(const Closure& closure, Instant now) = 0;

  // --- from the call ---
  // Exactly one frame of up_format() each 20 ms, without pause, from connected() on: silence and
  // comfort noise are the caller's work. Frames of before the dialogue is ready are held or dropped
  // as the protocol wants, and counted.
  virtual void frame(Samples samples, Instant now) = 0;
  virtual void frame_g711(Octets octets, Instant now) = 0;
  // 0-9 * # A-D; once a key press.
  virtual void dtmf(char digit, std::chrono::milliseconds duration, Instant now) = 0;
  virtual void mark_done(MarkId id, MarkFate fate) = 0;
  // The caller interrupts, says a detector of our own: as if the endpoint had said so. Protocols
  // that can tell the endpoint do.
  virtual void barge_in(Instant now) = 0;
  // The caller, who did, speaks no more.
  virtual void barge_in_over() = 0;
  // Takes leave as the protocol wants; close() follows, at the latest three seconds later.
  virtual void stop(Instant now) = 0;

  // --- time ---
  // At least every 100 ms while connected: the driver's own time limits.
  virtual void tick(Instant now) = 0;
};

// `profile` and `call` are copied as far as needed; `sink` and `counters` must outlive the driver.
std::unique_ptr<VoiceDriver> make_voice_driver(const VoiceProfile& profile, const VoiceCall& call,
                                               VoiceSink& sink, VoiceCounters& counters);

}  // namespace relay
