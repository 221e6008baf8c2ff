// AI voice endpoints as the TOML file describes them: [voice] and [voice.PROFILE], checked as far
// as text alone can be. Files, environment and secrets are read by relay/voice/profile.h.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/address_range.h"
#include "relay/config/local_address.h"

namespace relay {

enum class VoiceDriverKind : uint8_t { twilio, doubao, l16, openai, audiosocket };

// Within a driver: names and shapes that services of one family differ in.
enum class VoiceDialect : uint8_t {
  none,         // twilio, l16, audiosocket
  v1,           // doubao: binary frames, "realtime dialogue"
  v3,           // doubao: JSON, "realtime duplex"
  openai,       // openai: names and shapes since general availability
  openai_beta,  // openai: those of before
  azure,
  qwen,
  stepfun,
};

enum class VoiceAudio : uint8_t { automatic, pcmu, pcma, s16 };

enum class VoicePolicy : uint8_t { tee, replace, mute_other, mix, whisper };

// What the call does when the endpoint ended the dialogue in order.
enum class VoiceEndPolicy : uint8_t { pass, hangup_event };
// What it does when the endpoint failed.
enum class VoiceFailPolicy : uint8_t { pass, silence, play, hangup_event };

// What rate_hz and play_rate_hz may be.
inline constexpr std::array<int, 8> kVoiceRatesHz = {8000,  12000, 16000, 24000,
                                                     32000, 44100, 48000, 64000};
inline constexpr int kAudiosocketRateMaxHz = 48000;  // it has no type of record for 64000

struct VoiceParameter {
  std::string name, value;
  friend bool operator==(const VoiceParameter&, const VoiceParameter&) = default;
};

struct VoiceTlsConfig {
  bool verify = true;
  std::string ca_file;                     // empty: the system's
  std::string certificate_file, key_file;  // both or none
  std::string server_name;                 // empty: the URL's host
  friend bool operator==(const VoiceTlsConfig&, const VoiceTlsConfig&) = default;
};

struct VoiceGiven {
  std::string key, source;
};

struct VoiceProfileConfig {
  std::string name;
  std::string source;             // of its first key, for messages
  std::vector<VoiceGiven> given;  // which keys were set
  VoiceDriverKind driver = VoiceDriverKind::twilio;
  VoiceDialect dialect = VoiceDialect::none;
  std::string url;
  std::vector<std::string> allow_urls;  // per-call URLs must begin with one of these
  std::string subprotocol;
  std::vector<VoiceParameter> header_lines;  // values with ${…} as written
  std::vector<VoiceParameter> parameters;
  std::string template_file;  // session JSON; empty: the driver's own
  std::string account_sid;    // twilio
  std::string signature_key;  // twilio; with ${env:…} or ${file:…} as written; empty: unsigned
  std::string greeting;       // what the endpoint is asked to say first
  int end_smooth_window_ms = 600;            // doubao
  int rate_hz = 16000;                       // l16, audiosocket
  int play_rate_hz = 0;                      // l16; 0: rate_hz
  VoiceAudio audio = VoiceAudio::automatic;  // openai

  VoicePolicy policy = VoicePolicy::replace;
  VoiceEndPolicy on_end = VoiceEndPolicy::pass;
  VoiceFailPolicy on_fail = VoiceFailPolicy::pass;
  std::string on_fail_file;  // play
  std::chrono::milliseconds prebuffer{0};
  bool echo_cancellation = false;
  std::chrono::milliseconds echo_tail{256};
  std::chrono::milliseconds barge_in_after{0};  // zero: left to the endpoint

  std::chrono::milliseconds connect_timeout{5000};
  std::chrono::milliseconds reply_timeout{30000};  // zero: none
  // doubao, openai: silence that is told of. Zero: none.
  std::chrono::milliseconds reply_late{3000};   // where a reply should begin
  std::chrono::milliseconds reply_stall{2000};  // in the middle of one
  std::chrono::seconds ping_interval{15};       // zero: none
  int retries = 3;
  uint32_t message_bytes_max = 4 << 20;
  VoiceTlsConfig tls;

  // The line that set the key, for messages; null: none did.
  const std::string* line_of(std::string_view key) const;
};

// What brings a rule about.
enum class VoiceOccasion : uint8_t {
  answer,             // both parties of a call are known
  record,             // R, which records as well
  instead_of_record,  // R, which does not
};

// Where a party's media is received, by a label or an address.
struct VoiceRuleListener {
  std::string name, source;  // as written; the source is for messages
  std::vector<LocalAddressConfig> addresses;
};

// One of [[voice.auto]].
struct VoiceRule {
  unsigned number = 0;  // in the file, from 1
  std::string source;   // of its first key, for messages
  // What must fit; empty: anything does.
  std::string call_id;  // glob(7)
  std::vector<AddressRange> caller, callee;
  std::vector<VoiceRuleListener> caller_listeners, callee_listeners;
  std::optional<int> tos;  // that a command gave either party's side
  VoiceOccasion on = VoiceOccasion::answer;
  std::string profile;
  bool is_callee = false;             // answer: whom the endpoint is for; else the caller
  std::optional<VoicePolicy> policy;  // nothing: the profile's
  bool stereo = false;
};
using VoiceRules = std::vector<VoiceRule>;

// `NUMBER=ENCODING`, as an rtpmap of SDP has it.
struct VoicePayloadType {
  uint8_t number = 0;
  std::string encoding, source;
};

// Who is told of what voice sessions tell.
struct VoiceWebhook {
  std::string url, source;  // as written; the source is for messages
};

struct VoiceConfig {
  unsigned sessions_max = 100;
  unsigned starts_per_minute = 60;
  std::vector<VoicePayloadType> payload_types;
  std::vector<VoiceWebhook> webhooks;
  std::vector<VoiceParameter> webhook_headers;  // values with ${…} as written
  std::string webhook_headers_source;           // for messages
  bool notify = false;                          // the sessions' notification sockets, too
  VoiceRules rules;                             // the first that fits
  std::vector<VoiceProfileConfig> profiles;
};

}  // namespace relay
